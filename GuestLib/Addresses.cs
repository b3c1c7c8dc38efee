namespace NetKernel.GuestLib;

/// <summary>Socket addresses: struct sockaddr_in and sockaddr_in6 to and from 16 bytes and a port (ip(7), ipv6(7)).</summary>
internal static unsafe class Addresses
{
    /// <summary>First half of 127.0.0.1 and of every other IPv4 address as ::ffff:a.b.c.d.</summary>
    private const ulong MappedPrefix = 0xFFFF_0000; // bytes 8-11 of the address, as the low half of its second word

    internal static bool IsMapped(ulong low, ulong high) => low == 0 && (uint)high == MappedPrefix;

    internal static ulong Map(uint address4) => ((ulong)address4 << 32) | MappedPrefix;

    internal static bool IsWildcard(ulong low, ulong high) => low == 0 && (high == 0 || high == Map(0));

    /// <summary>127.0.0.0/8, ::1, or an unspecified destination, which means the same.</summary>
    internal static bool IsLoopback(ulong low, ulong high) =>
        IsWildcard(low, high) || (IsMapped(low, high) && (byte)(high >> 32) == 127) || (low == 0 && high == 1ul << 56);

    /// <summary>Takes an address of a family apart. 0, or the errno that the kernel gives.</summary>
    internal static int Parse(byte* address, uint length, int domain, out ulong low, out ulong high, out ushort port)
    {
        low = high = 0;
        port = 0;
        if (address == null)
        {
            return Abi.EFAULT;
        }

        if (length < 2)
        {
            return Abi.EINVAL;
        }

        ushort family = *(ushort*)address;
        if (domain == Abi.AF_INET)
        {
            if (length < 16)
            {
                return Abi.EINVAL;
            }

            if (family != Abi.AF_INET)
            {
                return Abi.EAFNOSUPPORT;
            }

            high = Map(*(uint*)(address + 4));
        }
        else
        {
            if (family != Abi.AF_INET6)
            {
                return Abi.EAFNOSUPPORT;
            }

            if (length < 24)
            {
                return Abi.EINVAL;
            }

            low = *(ulong*)(address + 8);
            high = *(ulong*)(address + 16);
        }

        port = Swap(*(ushort*)(address + 2));
        return 0;
    }

    /// <summary>Writes an address as the kernel does: as much as fits, and the full length.</summary>
    internal static void Put(int domain, ulong low, ulong high, ushort port, void* address, uint* length)
    {
        if (address == null || length == null)
        {
            return;
        }

        byte* full = stackalloc byte[28];
        uint bytes = Format(domain, low, high, port, full);
        uint room = *length;
        _ = Libc.memmove(address, full, room < bytes ? room : bytes);
        *length = bytes;
    }

    /// <summary>Writes a full address; returns its length (16 or 28).</summary>
    internal static uint Format(int domain, ulong low, ulong high, ushort port, byte* full)
    {
        *(ulong*)full = 0;
        *(ushort*)full = (ushort)domain;
        *(ushort*)(full + 2) = Swap(port);
        if (domain == Abi.AF_INET)
        {
            *(uint*)(full + 4) = (uint)(high >> 32);
            *(ulong*)(full + 8) = 0;
            return 16;
        }

        *(ulong*)(full + 8) = low;
        *(ulong*)(full + 16) = high;
        *(uint*)(full + 24) = 0;
        return 28;
    }

    internal static ushort Swap(ushort value) => (ushort)((value << 8) | (value >> 8));
}
