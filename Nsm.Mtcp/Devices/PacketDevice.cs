using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>AF_PACKET on an interface of this namespace, mostly one end of a veth (packet(7), with PACKET_VNET_HDR for checksums and segmentation).</summary>
internal sealed unsafe class PacketDevice : VnetDevice
{
    private const int BufferBytes = 8 << 20;
    private const uint Batch = 64;
    private readonly PacketRing _ring;

    private PacketDevice(int fd, uint mtu, ulong mac, PacketRing ring)
        : base(fd, mtu, mac) => _ring = ring;

    /// <summary>The kernel keeps tags beside the frame; <see cref="VlanFilter"/> has looked at them.</summary>
    protected override bool TakesTags => true;

    /// <summary>Opens the interface once per shard: each gets the packets of its flows.</summary>
    /// <exception cref="DeviceException">It does not exist, or privileges are missing.</exception>
    public static Device[] Open(string name, uint shards, uint key, ushort vlan = 0)
    {
        if (shards == 1)
        {
            return [Open(name, vlan)];
        }

        Device[] devices = new Device[shards];
        int group = 0;
        for (uint i = 0; i < shards; i++)
        {
            devices[i] = Open(name, vlan);
            group = FanoutProgram.Join(devices[i].Fd, group, key);
        }

        return devices;
    }

    /// <summary>Opens the interface for the frames of a VLAN; 0: for those without a tag.</summary>
    /// <exception cref="DeviceException">It does not exist, or privileges are missing.</exception>
    public static PacketDevice Open(string name, ushort vlan = 0)
    {
        int fd = Sys.Socket(Sys.AF_PACKET, Sys.SOCK_RAW | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw new DeviceException($"AF_PACKET: {Libc.Describe(Sys.Errno)}");
        }

        PacketRing? ring = null;
        try
        {
            (int index, uint mtu, ulong mac) = Interface.Query(fd, name);
            Set(fd, Sys.SOL_PACKET, Sys.PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
            Set(fd, Sys.SOL_PACKET, Sys.PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
            VlanFilter.Attach(fd, vlan);
            int bytes = BufferBytes;
            _ = Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_SNDBUFFORCE, &bytes, sizeof(int)); // More is better; less works.
            _ = Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_RCVBUFFORCE, &bytes, sizeof(int));

            ring = PacketRing.Open(fd);

            // struct sockaddr_ll: family, protocol (network order), interface.
            byte* address = stackalloc byte[20];
            new Span<byte>(address, 20).Clear();
            *(ushort*)address = Sys.AF_PACKET;
            address[3] = Sys.ETH_P_ALL;
            *(int*)(address + 4) = index;
            if (Sys.Bind(fd, address, 20) != 0)
            {
                throw new DeviceException($"interface {name}: {Libc.Describe(Sys.Errno)}");
            }

            JoinAllGroups(fd, index);
            return new PacketDevice(fd, mtu, mac, ring);
        }
        catch
        {
            ring?.Dispose();
            _ = Libc.Close(fd);
            throw;
        }
    }

    /// <inheritdoc/>
    public override uint Receive(NetworkStack stack)
    {
        uint got = 0;
        for (; got < Batch; got++)
        {
            byte* p = _ring.Peek(out uint length, out bool waits);
            if (p == null)
            {
                break;
            }

            if (!waits)
            {
                Give(stack, p, length);
            }
            else if (!ReceiveOne(stack))
            {
                _ = ReceiveOne(stack); // The first call may have told of an error of the interface. Were the frame left, all behind it would be one too late.
            }

            _ring.Advance();
        }

        return got;
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _ring.Dispose();
        base.Dispose();
    }

    protected override uint SendBatch(MMsgHdr* messages, Libc.IoVec* vectors, uint count)
    {
        uint sent = 0;
        while (sent < count)
        {
            int n = Sys.SendMMsg(Fd, messages + sent, count - sent, Libc.MSG_DONTWAIT);
            if (n <= 0)
            {
                break;
            }

            sent += (uint)n;
        }

        return sent;
    }

    /// <summary>Neighbour discovery is multicast, and a card lets through what it was told of only (packet(7), PACKET_MR_ALLMULTI).</summary>
    private static void JoinAllGroups(int fd, int index)
    {
        const int RequestBytes = 16;
        byte* request = stackalloc byte[RequestBytes];
        new Span<byte>(request, RequestBytes).Clear();
        *(int*)request = index;
        *(ushort*)(request + 4) = Sys.PACKET_MR_ALLMULTI;
        if (Sys.SetSockOpt(fd, Sys.SOL_PACKET, Sys.PACKET_ADD_MEMBERSHIP, request, RequestBytes) != 0)
        {
            throw new DeviceException($"PACKET_ADD_MEMBERSHIP: {Libc.Describe(Sys.Errno)}");
        }
    }

    private static void Set(int fd, int level, int name, int value, string what)
    {
        if (Sys.SetSockOpt(fd, level, name, &value, sizeof(int)) != 0)
        {
            throw new DeviceException($"{what}: {Libc.Describe(Sys.Errno)}");
        }
    }
}
