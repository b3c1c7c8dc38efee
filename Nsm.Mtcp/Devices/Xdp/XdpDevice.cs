using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// AF_XDP on one queue of an interface (Linux, Documentation/networking/af_xdp.rst), in copy mode: frames lie in memory of ours, and rings say which. It knows nothing of checksums or
/// segmentation, so the stack does both. A call sends a batch; receiving takes none.
/// </summary>
internal sealed unsafe class XdpDevice : Device
{
    private const uint Batch = 64;
    private readonly XdpChunks _chunks;
    private readonly XdpSocket _socket;
    private readonly XdpRedirect? _redirect;
    private XdpProducer _fill, _send;
    private XdpConsumer _received, _sent;
    private bool _queued;

    private XdpDevice(XdpSocket socket, XdpChunks chunks, XdpRedirect? redirect, uint mtu, ulong mac)
        : base(socket.Fd, mtu, mac)
    {
        _socket = socket;
        _chunks = chunks;
        _redirect = redirect;
        _fill = socket.Fill;
        _send = socket.Send;
        _received = socket.Received;
        _sent = socket.Sent;
    }

    /// <inheritdoc/>
    public override bool FinishesChecksums => false;

    /// <inheritdoc/>
    public override uint MaxGso => 0;

    /// <inheritdoc/>
    public override bool HasUnsent => _queued;

    /// <summary>Descriptors and addresses of the kernel's that could not be: none, unless the kernel is wrong.</summary>
    public ulong Malformed { get; private set; }

    /// <summary>
    /// Opens the interface, a queue per shard, which must be all it has. All that arrives there comes here from now on, as long as the process lives, and the kernel sees nothing of it. XDP is
    /// run in the driver (<paramref name="native"/>) where that can be, else behind it.
    /// </summary>
    /// <exception cref="DeviceException">It does not exist, has other queues, or the kernel cannot do it, or privileges are missing.</exception>
    public static Device[] Open(string name, uint shards, bool native = true)
    {
        Device[] devices = new Device[shards];
        XdpRedirect? redirect = null;
        try
        {
            int probe = Sys.Socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0);
            (int index, uint mtu, ulong mac) = Interface.Query(probe, name);
            _ = Libc.Close(probe);
            const uint EthernetBytes = 14, TagBytes = 4;
            uint most = XdpChunks.MostFrameBytes - EthernetBytes - TagBytes;
            if (mtu > most)
            {
                throw new DeviceException($"interface {name}: its MTU of {mtu} bytes is more than the {most} that AF_XDP takes in one frame");
            }

            if (Ethtool.ReceiveQueues(name) is int queues && queues != shards)
            {
                throw new DeviceException($"interface {name} has {queues} receive queues, and AF_XDP needs one for each of {shards} cores (ethtool -L {name})");
            }

            redirect = XdpRedirect.Make(shards);
            for (uint i = 0; i < shards; i++)
            {
                XdpChunks chunks = new(XdpSocket.Entries, mtu + EthernetBytes + TagBytes);
                XdpSocket socket = XdpSocket.Open(name, index, i, chunks);
                devices[i] = new XdpDevice(socket, chunks, i == 0 ? redirect : null, mtu, mac);
                redirect.Set(i, socket.Fd);
            }

            redirect.Attach(index, native);
            return devices;
        }
        catch (Exception e) when (e is DeviceException or InvalidOperationException)
        {
            redirect?.Dispose();
            foreach (Device? device in devices)
            {
                device?.Dispose();
            }

            throw e as DeviceException ?? new DeviceException($"interface {name}: {e.Message}");
        }
    }

    /// <inheritdoc/>
    public override uint Receive(NetworkStack stack)
    {
        uint count = _received.Available;
        count = count < Batch ? count : Batch;
        for (uint i = 0; i < count; i++)
        {
            XdpDescriptor descriptor = _received.Take();
            byte* frame = _chunks.Received(in descriptor);
            if (frame == null)
            {
                Malformed++;
                continue;
            }

            InFrame info = default;
            stack.Receive(frame, descriptor.Length, in info);
            _fill.Put(_chunks.ChunkOf(descriptor.Address)); // As many places as chunks: there is room.
        }

        if (count != 0)
        {
            _received.Release();
            _fill.Publish();
        }

        return count;
    }

    /// <inheritdoc/>
    public override bool Transmit(in OutFrame frame)
    {
        uint length = frame.HeaderLength + frame.PayloadLength;
        if (length > _chunks.ChunkBytes || !TryTake(out ulong address))
        {
            Refused++;
            return false;
        }

        NetworkStack.Flatten(in frame, _chunks.Start + address);
        _send.Put(address, length); // As many places as chunks: there is room.
        _queued = true;
        return true;
    }

    /// <inheritdoc/>
    public override void Flush()
    {
        if (_queued)
        {
            _send.Publish();
            Kick();
            _queued = !_send.IsEmpty;
        }
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _redirect?.Dispose();
        _socket.Dispose();
        base.Dispose();
        _chunks.Dispose();
    }

    private bool TryTake(out ulong address)
    {
        if (_chunks.TryTake(out address))
        {
            return true;
        }

        Flush();
        Reap();
        return _chunks.TryTake(out address);
    }

    /// <summary>Has the kernel send what the ring holds; a call takes a part of it, and none when the way is full.</summary>
    private void Kick()
    {
        uint before;
        do
        {
            if (!_send.NeedsCall)
            {
                return;
            }

            before = _send.Read;
            _ = Sys.SendTo(Fd, null, 0, Libc.MSG_DONTWAIT, null, 0); // EAGAIN: more is left; errors of the interface lose frames, as any link does.
            Reap();
        }
        while (!_send.IsEmpty && _send.Read != before);
    }

    private void Reap()
    {
        uint count = _sent.Available;
        if (count == 0)
        {
            return;
        }

        for (uint i = 0; i < count; i++)
        {
            Malformed += _chunks.Give(_sent.TakeAddress()) ? 0u : 1;
        }

        _sent.Release();
    }
}
