using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// Takes guests' addresses away from the kernel's interface (rtnetlink(7), RTM_DELADDR): the control plane puts them there for stacks that are the kernel's, and the kernel would
/// answer for them with RST what this stack answers with data.
/// </summary>
internal sealed unsafe class AddressTaker(string name, int[] prefixes6)
{
    private const int AF_NETLINK = 16, NETLINK_ROUTE = 0, IFA_LOCAL = 2;
    private const ushort RTM_DELADDR = 21, NLM_F_REQUEST = 1;
    private const int Full = 128;

    /// <summary>Takes an address, if the interface has it.</summary>
    /// <exception cref="DeviceException">The kernel cannot be asked.</exception>
    public void Take(in Address address)
    {
        int fd = Sys.Socket(AF_NETLINK, Sys.SOCK_RAW | Libc.SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0)
        {
            throw new DeviceException($"netlink: {Libc.Describe(Sys.Errno)}");
        }

        try
        {
            int probe = Sys.Socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0);
            int index = Interface.Query(probe, name).Index;
            _ = Libc.Close(probe);
            if (address.IsV4)
            {
                Ask(fd, index, address, 32);
                return;
            }

            Ask(fd, index, address, Full);
            foreach (int bits in prefixes6)
            {
                Ask(fd, index, address, bits);
            }
        }
        finally
        {
            _ = Libc.Close(fd);
        }
    }

    // The kernel has done it when sendmsg returns; that it had no such address is no error here.
    private static void Ask(int fd, int index, in Address address, int bits)
    {
        int size = address.IsV4 ? 4 : 16;
        byte* p = stackalloc byte[64];
        new Span<byte>(p, 64).Clear();
        *(int*)p = 16 + 8 + 4 + size;
        *(ushort*)(p + 4) = RTM_DELADDR;
        *(ushort*)(p + 6) = NLM_F_REQUEST;
        p[16] = (byte)(address.IsV4 ? Libc.AF_INET : Libc.AF_INET6);
        p[17] = (byte)bits;
        *(int*)(p + 20) = index;
        *(ushort*)(p + 24) = (ushort)(4 + size);
        *(ushort*)(p + 26) = IFA_LOCAL;
        if (address.IsV4)
        {
            *(uint*)(p + 28) = address.V4Bits;
        }
        else
        {
            *(ulong*)(p + 28) = address.Low;
            *(ulong*)(p + 36) = address.High;
        }

        Libc.IoVec vector = new() { Base = p, Length = (nuint)(*(int*)p) };
        _ = Sys.WriteV(fd, &vector, 1);
    }
}
