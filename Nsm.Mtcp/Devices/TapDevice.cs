using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>A TAP interface that this process makes (Linux, Documentation/networking/tuntap.rst), with offloads towards the kernel and from it.</summary>
internal sealed unsafe class TapDevice : VnetDevice
{
    private const ushort IFF_TAP = 2, IFF_MULTI_QUEUE = 0x0100, IFF_NO_PI = 0x1000, IFF_VNET_HDR = 0x4000;
    private const nint TUN_F_CSUM = 1, TUN_F_TSO4 = 2, TUN_F_TSO6 = 4, TUN_F_TSO_ECN = 8;

    private const uint Batch = 32;

    private TapDevice(int fd, uint mtu, ulong mac)
        : base(fd, mtu, mac)
    {
    }

    /// <summary>
    /// Makes the interface, or takes one that was made for it, with a queue for each shard: in the network namespace of that path, or (empty) in this one. The stack's station address is that
    /// of the kernel's end with another bit (<see cref="StationOf"/>), so that it stays when the interface does.
    /// </summary>
    /// <exception cref="DeviceException">Privileges are missing, another program has it, or there is no such namespace.</exception>
    public static Device[] Open(string name, uint shards, string space)
    {
        try
        {
            return NetworkSpace.Inside(space.Length == 0 ? null : space, () =>
            {
                Device[] devices = new Device[shards];
                try
                {
                    for (uint i = 0; i < shards; i++)
                    {
                        int fd = OpenQueue(name, multiQueue: true), probe = Sys.Socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0);
                        (_, uint mtu, ulong mac) = Interface.Query(probe, name);
                        _ = Libc.Close(probe);
                        devices[i] = new TapDevice(fd, mtu, StationOf(mac));
                    }

                    return devices;
                }
                catch
                {
                    foreach (Device? device in devices)
                    {
                        device?.Dispose();
                    }

                    throw;
                }
            });
        }
        catch (InvalidOperationException e)
        {
            throw new DeviceException(e.Message);
        }
    }

    /// <summary>The interface in this namespace with one queue. The kernel's end has <paramref name="mtu"/> set by whoever configures it; ours has another station address.</summary>
    /// <exception cref="DeviceException">Privileges are missing, or the name is taken.</exception>
    public static TapDevice Open(string name, ulong mac, uint mtu = 1500) => new(OpenQueue(name, multiQueue: false), mtu, mac);

    /// <summary>The station address of the stack's end of a TAP whose other end has that one (nkd knows it too: BridgeNetwork).</summary>
    public static ulong StationOf(ulong mac) => mac ^ 4;

    private static int OpenQueue(string name, bool multiQueue)
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

        try
        {
            byte* request = stackalloc byte[40];
            new Span<byte>(request, 40).Clear();
            Interface.PutName(request, name);
            *(ushort*)(request + 16) = (ushort)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multiQueue ? IFF_MULTI_QUEUE : 0));
            int header = VnetHeader.Length;
            return Sys.Ioctl(fd, Sys.TUNSETIFF, request) == 0
                && Sys.Ioctl(fd, Sys.TUNSETVNETHDRSZ, &header) == 0
                && Sys.Ioctl(fd, Sys.TUNSETOFFLOAD, (void*)(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)) == 0
                ? fd
                : throw new DeviceException($"TAP interface {name}: {Libc.Describe(Sys.Errno)}");
        }
        catch
        {
            _ = Libc.Close(fd);
            throw;
        }
    }

    /// <inheritdoc/>
    public override uint Receive(NetworkStack stack)
    {
        uint got = 0;
        while (got < Batch && ReceiveOne(stack))
        {
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
