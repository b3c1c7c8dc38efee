using System.Net;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib.Testing;

/// <summary>A guest's socket as CoreEngine sees it: requests in, events noted. What the NSM does against the contract is an exception.</summary>
public sealed class FakeSocket
{
    private readonly FakeEngine _engine;
    private readonly Queue<Nqe> _completions = new();
    private readonly Queue<(ulong Offset, uint Size)> _data = new();
    private uint _out;

    internal FakeSocket(FakeEngine engine, FakeGuest guest, uint queueSet, uint id)
    {
        _engine = engine;
        Guest = guest;
        QueueSet = queueSet;
        Id = id;
    }

    /// <summary>Connection id.</summary>
    public uint Id { get; }

    /// <summary>Queue set.</summary>
    public uint QueueSet { get; }

    /// <summary>Whose it is.</summary>
    public FakeGuest Guest { get; }

    /// <summary>Connections announced and not yet taken.</summary>
    public Queue<Nqe> Announced { get; } = new();

    /// <summary>Data announced whose credit was not returned, at most so far.</summary>
    public uint MostOut { get; private set; }

    /// <summary>Sends in flight.</summary>
    public int SendsOut { get; private set; }

    /// <summary>errno of the last SendDone.</summary>
    public int SendError { get; private set; }

    /// <summary>Sends that came back as not for this NSM.</summary>
    public int PassedOn { get; private set; }

    /// <summary>Bytes of data announced and not read.</summary>
    public long Waiting { get; private set; }

    /// <summary>PeerClosed came.</summary>
    public bool PeerClosed { get; private set; }

    /// <summary>The address of the attempt to connect that is, or was, under way.</summary>
    public IPEndPoint? ConnectsFrom { get; private set; }

    /// <summary>errno of Reset; 0: none came.</summary>
    public int ResetError { get; private set; }

    /// <summary>Closed came.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>OpData of <see cref="Op.Direct"/>; 0: none came.</summary>
    public ulong DirectPlaceTold { get; private set; }

    /// <summary>How often <see cref="Op.DirectNews"/> came.</summary>
    public int DirectNews { get; private set; }

    /// <summary>What <see cref="Op.Moved"/> said, summed up.</summary>
    public (ulong Sent, ulong Received) Moved { get; private set; }

    internal ulong Key => KeyOf(QueueSet, Id);

    /// <summary>Publishes a request.</summary>
    public void Request(RingKind ring, Op op, ulong opData = 0, ulong dataPtr = 0, uint size = 0, ushort aux = 0, NqeFlags flags = NqeFlags.None)
    {
        Nqe e = new() { Op = op, Socket = Id, OpData = opData, DataPtr = dataPtr, Size = size, Aux = aux, Flags = flags, Vm = Guest.Id };
        _engine.Publish(QueueSet, ring, e);
    }

    /// <summary>Waits for the completion of that op.</summary>
    public Nqe Complete(Op op)
    {
        _engine.Until(() => _completions.Count > 0, $"{op}");
        Nqe e = _completions.Dequeue();
        return e.Op == op ? e : throw new InvalidOperationException($"{e.Op} came instead of {op}");
    }

    /// <summary>Binds; errno.</summary>
    public int Bind(string address, int port, NqeFlags flags = NqeFlags.None) => Bind(address, port, flags, out _);

    /// <summary>Binds; errno and where.</summary>
    public int Bind(string address, int port, NqeFlags flags, out IPEndPoint bound)
    {
        RequestAddress(Op.Bind, address, port, flags);
        return Address(Complete(Op.BindDone), out bound);
    }

    /// <summary>Listens; errno.</summary>
    public int Listen(int backlog = 128)
    {
        Request(RingKind.Job, Op.Listen, opData: (uint)backlog);
        return (int)Complete(Op.ListenDone).Size;
    }

    /// <summary>Asks for a connection.</summary>
    public void StartConnect(string address, int port, NqeFlags flags = NqeFlags.None) => RequestAddress(Op.Connect, address, port, flags);

    /// <summary>Connects; errno.</summary>
    public int Connect(string address, int port, NqeFlags flags = NqeFlags.None) => Connect(address, port, flags, out _);

    /// <summary>Connects; errno and local address.</summary>
    public int Connect(string address, int port, NqeFlags flags, out IPEndPoint local)
    {
        StartConnect(address, port, flags);
        return Address(Complete(Op.ConnectDone), out local);
    }

    /// <summary>Waits for an announced connection.</summary>
    public Nqe NextAnnounced()
    {
        _engine.Until(() => Announced.Count > 0, "NewConnection");
        return Announced.Dequeue();
    }

    /// <summary>Takes the next announced connection.</summary>
    public FakeSocket Accept(out IPEndPoint peer)
    {
        Nqe e = NextAnnounced();
        _ = Address(e, out peer);
        FakeSocket socket = Accept(e.Size, Guest, out int error);
        return error == 0 ? socket : throw new InvalidOperationException($"AcceptDone: {error}");
    }

    /// <summary>Takes a connection by its handle, for any guest.</summary>
    public FakeSocket Accept(uint handle, FakeGuest guest, out int error)
    {
        FakeSocket socket = _engine.NewSocket(guest, QueueSet);
        socket.Request(RingKind.Send, Op.Accept, opData: handle, dataPtr: Id);
        error = (int)socket.Complete(Op.AcceptDone).Size;
        return socket;
    }

    /// <summary>Sends data, as many Sends of that size as it takes, within 128 in flight.</summary>
    public void Send(ReadOnlySpan<byte> data, int messageSize = 65536, NqeFlags flags = NqeFlags.None)
    {
        while (!data.IsEmpty)
        {
            int n = Math.Min(messageSize, data.Length);
            _engine.Until(() => SendsOut < SocketSlot.MaxSends && Guest.HasTx(n), "SendDone");
            if (!Guest.TryPut(data[..n], out ulong offset))
            {
                throw new InvalidOperationException("no TX chunk");
            }

            SendAt(offset, (uint)n, flags);
            data = data[n..];
        }
    }

    /// <summary>Sends what lies at a place, whatever that is.</summary>
    public void SendAt(ulong offset, uint size, NqeFlags flags = NqeFlags.None)
    {
        SendsOut++;
        Request(RingKind.Send, Op.Send, dataPtr: offset, size: size, flags: flags);
    }

    /// <summary>Waits until all Sends are completed.</summary>
    public void Flushed() => _engine.Until(() => SendsOut == 0, "all SendDone");

    /// <summary>Reads what is there, returning credits; the number of bytes.</summary>
    public int Read(Span<byte> buffer)
    {
        int read = 0;
        while (_data.TryPeek(out (ulong Offset, uint Size) piece) && piece.Size <= buffer.Length - read)
        {
            _ = _data.Dequeue();
            Guest.RxAt(piece.Offset, piece.Size).CopyTo(buffer[read..]);
            read += (int)piece.Size;
            Waiting -= piece.Size;
            Credit(piece.Offset, piece.Size);
        }

        return read;
    }

    /// <summary>Returns a credit.</summary>
    public void Credit(ulong offset, uint size)
    {
        _out--;
        Request(RingKind.Send, Op.RxCredit, dataPtr: offset, size: size);
    }

    /// <summary>Reads exactly that many bytes.</summary>
    public byte[] Receive(int bytes)
    {
        byte[] result = new byte[bytes + 65536];
        int read = 0;
        while (read < bytes)
        {
            _engine.Until(() => _data.Count > 0 || PeerClosed || ResetError != 0, $"data ({read} of {bytes} bytes came)");
            int n = Read(result.AsSpan(read));
            read += n;
            if (n == 0)
            {
                throw new InvalidOperationException($"ended after {read} of {bytes} bytes, reset {ResetError}");
            }
        }

        return read == bytes ? result[..bytes] : throw new InvalidOperationException($"{read} bytes instead of {bytes}");
    }

    /// <summary>Waits until something was told of the peer's side.</summary>
    public void Ended() => _engine.Until(() => PeerClosed || ResetError != 0, "the peer's end");

    /// <summary>Shuts down.</summary>
    public void Shutdown(int how) => Request(RingKind.Send, Op.Shutdown, opData: (uint)how);

    /// <summary>Sets an option; errno.</summary>
    public int SetOption(int level, int name, ulong value, uint length = 4, RingKind ring = RingKind.Job)
    {
        Request(ring, Op.SetOption, value, (uint)level | ((ulong)(uint)name << 32), length, flags: NqeFlags.Sync);
        return (int)Complete(Op.SetOptionDone).Size;
    }

    /// <summary>Reads an option; errno.</summary>
    public int GetOption(int level, int name, int room, out byte[] value)
    {
        Request(RingKind.Job, Op.GetOption, (uint)level | ((ulong)(uint)name << 32), size: (uint)room);
        Nqe e = Complete(Op.GetOptionDone);
        value = e.OpData == 0 ? [] : Guest.RxAt(e.DataPtr, (uint)e.OpData).ToArray();
        if (e.OpData != 0)
        {
            Request(RingKind.Send, Op.RxCredit, dataPtr: e.DataPtr, size: (uint)e.OpData);
        }

        return (int)e.Size;
    }

    /// <summary>Asks for the end.</summary>
    public void StartClose(bool abort = false) => Request(RingKind.Send, Op.Close, flags: abort ? NqeFlags.Abort : NqeFlags.None);

    /// <summary>Closes and waits for the end.</summary>
    public void Close(bool abort = false)
    {
        StartClose(abort);
        WaitClosed();
    }

    /// <summary>Waits for Closed.</summary>
    public void WaitClosed()
    {
        _engine.Until(() => IsClosed, "Closed");
        _engine.Forget(this);
    }

    internal static ulong KeyOf(uint queueSet, uint id) => ((ulong)queueSet << 32) | id;

    internal void Hear(in Nqe e)
    {
        if (e.Vm != Guest.Id || IsClosed)
        {
            throw new InvalidOperationException($"{e.Op} for a closed socket or another guest ({e.Vm})");
        }

        if (ResetError != 0 && (byte)e.Op < 0x80 && e.Op != Op.Moved)
        {
            throw new InvalidOperationException($"{e.Op} after Reset");
        }

        switch (e.Op)
        {
            case Op.Data:
                if (PeerClosed || ++_out > SocketSlot.RxEntries)
                {
                    throw new InvalidOperationException($"Data after PeerClosed or beyond {SocketSlot.RxEntries} entries");
                }

                MostOut = Math.Max(MostOut, _out);
                Waiting += e.Size;
                _data.Enqueue((e.DataPtr, e.Size));
                break;
            case Op.NewConnection:
                Announced.Enqueue(e);
                if (e.Size == 0 || Announced.Count > SocketSlot.AcceptEntries)
                {
                    throw new InvalidOperationException("a handle of 0, or too many announced");
                }

                break;
            case Op.Direct:
                DirectPlaceTold = e.OpData;
                break;
            case Op.DirectNews:
                DirectNews++;
                break;
            case Op.Moved:
                Moved = (Moved.Sent + e.OpData, Moved.Received + e.DataPtr);
                break;
            case Op.PeerClosed:
                PeerClosed = true;
                break;
            case Op.Reset:
                ResetError = (int)e.OpData;
                break;
            case Op.SendDone:
                SendsOut--;
                SendError = (int)e.OpData;
                Guest.FreeTxAt(e.DataPtr);
                break;
            case Op.SendElsewhere:
                SendsOut--;
                PassedOn++;
                Guest.FreeTxAt(e.DataPtr);
                break;
            case Op.Connecting:
                _ = Address(e, out IPEndPoint from);
                ConnectsFrom = from;
                break;
            case Op.Closed:
                IsClosed = true;
                if (SendsOut != 0)
                {
                    throw new InvalidOperationException($"Closed with {SendsOut} Sends in flight");
                }

                break;
            default:
                _completions.Enqueue(e);
                break;
        }
    }

    private static int Address(Nqe e, out IPEndPoint address)
    {
        Span<byte> bytes = stackalloc byte[16];
        _ = BitConverter.TryWriteBytes(bytes, e.OpData);
        _ = BitConverter.TryWriteBytes(bytes[8..], e.DataPtr);
        IPAddress ip = new(bytes);
        address = new IPEndPoint(ip.IsIPv4MappedToIPv6 ? ip.MapToIPv4() : ip, e.Aux);
        return (int)e.Size;
    }

    private void RequestAddress(Op op, string address, int port, NqeFlags flags)
    {
        byte[] bytes = IPAddress.Parse(address).MapToIPv6().GetAddressBytes();
        Request(RingKind.Job, op, BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8), aux: (ushort)port, flags: flags);
    }
}
