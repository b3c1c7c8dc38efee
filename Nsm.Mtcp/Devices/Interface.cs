using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Mtcp;

/// <summary>What the kernel says of a network interface (netdevice(7)).</summary>
internal static unsafe class Interface
{
    private const int NameBytes = 16, RequestBytes = 40;

    /// <summary>What a path is believed to carry at least (RFC 1191; Linux's route/min_pmtu), and what an IP packet can be at most.</summary>
    private const uint LeastMtu = 552, MostMtu = 65535;

    /// <summary>Puts a name into a struct ifreq.</summary>
    /// <exception cref="DeviceException">It is too long.</exception>
    public static void PutName(byte* request, string name)
    {
        if (name.Length is 0 or >= NameBytes)
        {
            throw new DeviceException($"an interface's name has 1 to {NameBytes - 1} characters, not {name.Length}: {name}");
        }

        for (int i = 0; i < name.Length; i++)
        {
            request[i] = (byte)name[i];
        }
    }

    /// <summary>Index, MTU and station address.</summary>
    /// <exception cref="DeviceException">There is no such interface here, or its MTU is out of range.</exception>
    public static (int Index, uint Mtu, ulong Mac) Query(int fd, string name)
    {
        int index = *(int*)Ask(fd, name, Sys.SIOCGIFINDEX, stackalloc byte[RequestBytes]);
        uint mtu = *(uint*)Ask(fd, name, Sys.SIOCGIFMTU, stackalloc byte[RequestBytes]);
        if (mtu is < LeastMtu or > MostMtu)
        {
            throw new DeviceException($"interface {name}: its MTU of {mtu} bytes is not between {LeastMtu} and {MostMtu}");
        }

        byte* mac = Ask(fd, name, Sys.SIOCGIFHWADDR, stackalloc byte[RequestBytes]);
        return (index, mtu, *(uint*)(mac + 2) | ((ulong)*(ushort*)(mac + 6) << 32));
    }

    private static byte* Ask(int fd, string name, nuint request, Span<byte> buffer)
    {
        buffer.Clear();
        fixed (byte* p = buffer)
        {
            PutName(p, name);
            return Sys.Ioctl(fd, request, p) == 0 ? p + NameBytes : throw new DeviceException($"interface {name}: {Libc.Describe(Sys.Errno)}");
        }
    }
}

/// <summary>A link cannot be opened; the message says why, to a person.</summary>
internal sealed class DeviceException(string message) : NsmStartException(message);
