using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>A TAP interface that this process makes (Linux, Documentation/networking/tuntap.rst), with offloads towards the kernel and from it.</summary>
internal sealed unsafe class TapDevice : VnetDevice
{
    private const ushort IFF_TAP = 2, IFF_MULTI_QUEUE = 0x0100, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;
    private const nint TUN_F_CSUM = 1, TUN_F_TSO4 = 2, TUN_F_TSO6 = 4, TUN_F_TSO_ECN = 8;

    private TapDevice(int fd, uint mtu, ulong mac)
        : base(fd, mtu, mac)
    {
    }

    /// <summary>Makes the interface in this namespace. The kernel's end has <paramref name="mtu"/> set by whoever configures it; ours has another station address.</summary>
    /// <exception cref="DeviceException">Privileges are missing, or the name is taken.</exception>
    public static TapDevice Open(string name, ulong mac, uint mtu = 1500, bool multiQueue = false)
    {
        ReadOnlySpan<byte> path = "/dev/net/tun\0"u8;
        int fd;
        fixed (byte* p = path)
        {
            fd = Sys.Open(p, Sys.O_RDWR | Libc.O_NONBLOCK | Libc.O_CLOEXEC);
        }

        if (fd < 0)
        {
            throw new DeviceException($"/dev/net/tun: {Libc.Describe(Sys.Errno)}");
        }

        byte* request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        Interface.PutName(request, name);
        *(ushort*)(request + 16) = (ushort)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0));
        int header = VnetHeader.Length;
        if (Sys.Ioctl(fd, Sys.TUNSETIFF, request) != 0
            || Sys.Ioctl(fd, Sys.TUNSETVNETHDRSZ, &header) != 0
            || Sys.Ioctl(fd, Sys.TUNSETOFFLOAD, (void*)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) != 0)
        {
            int error = Sys.Errno;
            _ = Libc.Close(fd);
            throw new DeviceException($"TAP interface {name}: {Libc.Describe(error)}");
        }

        return new TapDevice(fd, mtu, mac);
    }

    protected override uint ReceiveBatch(MMsgHdr* messages, uint count)
    {
        uint got = 0;
        while (got < count)
        {
            nint n = Sys.ReadV(Fd, messages[got].Header.Iov, 1);
            if (n <= 0)
            {
                break;
            }

            messages[got].Length = (uint)n;
            messages[got].Header.Flags = 0;
            got++;
        }

        return got;
    }

    protected override uint SendBatch(MMsgHdr* messages, Libc.IoVec* vectors, uint count)
    {
        uint sent = 0;
        for (uint i = 0; i < count; i++)
        {
            sent += Sys.WriteV(Fd, vectors + i, 1) > 0 ? 1u : 0;
        }

        return sent;
    }
}
