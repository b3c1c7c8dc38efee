using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>AF_PACKET on an interface of this namespace, mostly one end of a veth (packet(7), with PACKET_VNET_HDR for checksums and segmentation).</summary>
internal sealed unsafe class PacketDevice : Device
{
    private const int BufferBytes = 8 << 20;

    private PacketDevice(int fd, uint mtu, ulong mac)
        : base(fd, mtu, mac)
    {
    }

    /// <summary>Opens the interface.</summary>
    /// <exception cref="DeviceException">It does not exist, or privileges are missing.</exception>
    public static PacketDevice Open(string name)
    {
        int fd = Sys.Socket(Sys.AF_PACKET, Sys.SOCK_RAW | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw new DeviceException($"AF_PACKET: {Libc.Describe(Sys.Errno)}");
        }

        try
        {
            (int index, uint mtu, ulong mac) = Interface.Query(fd, name);
            Set(fd, Sys.SOL_PACKET, Sys.PACKET_VNET_HDR, 1, "PACKET_VNET_HDR");
            Set(fd, Sys.SOL_PACKET, Sys.PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
            int bytes = BufferBytes;
            _ = Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_SNDBUFFORCE, &bytes, sizeof(int)); // More is better; less works.
            _ = Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_RCVBUFFORCE, &bytes, sizeof(int));

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

            return new PacketDevice(fd, mtu, mac);
        }
        catch
        {
            _ = Libc.Close(fd);
            throw;
        }
    }

    protected override uint ReceiveBatch(MMsgHdr* messages, uint count)
    {
        int got = Sys.ReceiveMMsg(Fd, messages, count, Libc.MSG_DONTWAIT, null);
        return got > 0 ? (uint)got : 0;
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

    private static void Set(int fd, int level, int name, int value, string what)
    {
        if (Sys.SetSockOpt(fd, level, name, &value, sizeof(int)) != 0)
        {
            throw new DeviceException($"{what}: {Libc.Describe(Sys.Errno)}");
        }
    }
}
