using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>Socket addresses: struct sockaddr_in and sockaddr_in6 to and from 16 bytes and a port (ip(7), ipv6(7)).</summary>
internal static unsafe class Addresses
{
    /// <summary>
    /// What the guest's own kernel says when a socket that is bound to loopback is to reach the world: it has no route at all, where one with a network says EINVAL of such a
    /// source (ip_route_output_key).
    /// </summary>
    internal static nint Unreachable(int fd, nint result)
    {
        if (result >= 0 || Libc.Errno != Abi.ENETUNREACH || !Attaching.IsGuest)
        {
            return result;
        }

        byte* local = stackalloc byte[28];
        uint length = 28;
        bool loopback = Real.getsockname(fd, local, &length) == 0 && *(ushort*)local == Abi.AF_INET && local[4] == 127;
        return Libc.Fail(loopback ? Abi.EINVAL : Abi.ENETUNREACH);
    }

    /// <summary>First half of 127.0.0.1 and of every other IPv4 address as ::ffff:a.b.c.d.</summary>
    private const ulong MappedPrefix = 0xFFFF_0000; // bytes 8-11 of the address, as the low half of its second word

    /// <summary>Bytes of the longest address that a call takes (struct sockaddr_storage).</summary>
    private const uint MostBytes = 128;

    internal static bool IsMapped(ulong low, ulong high) => low == 0 && (uint)high == MappedPrefix;

    internal static ulong Map(uint address4) => ((ulong)address4 << 32) | MappedPrefix;

    internal static bool IsWildcard(ulong low, ulong high) => low == 0 && (high == 0 || high == Map(0));

    /// <summary>127.0.0.0/8, ::1, or an unspecified destination, which means the same: what stays on the guest's own kernel.</summary>
    internal static bool IsLoopback(ulong low, ulong high) => !Region.CarriesLoopback
        && (IsWildcard(low, high) || (IsMapped(low, high) && (byte)(high >> 32) == 127) || (low == 0 && high == 1ul << 56));

    /// <summary>Whom a connect to a wildcard reaches (<see cref="Region.CarriesLoopback"/> only): where the socket is bound, else loopback.</summary>
    internal static void ToSelf(SocketSlot* s, ref ulong low, ref ulong high)
    {
        bool bound = !IsWildcard(s->LocalLow, s->LocalHigh);
        low = bound ? s->LocalLow : 0;
        high = bound ? s->LocalHigh : high != 0 ? Map(0x0100_007F) : 1ul << 56;
    }

    /// <summary>Whether an address can be read: 0, or the errno.</summary>
    internal static int Check(byte* address, uint length) =>
        length > MostBytes ? Abi.EINVAL : UserMemory.CanRead(address, length) ? 0 : Abi.EFAULT;

    /// <summary>Takes an address of a family apart. 0, or the errno that the kernel gives.</summary>
    internal static int Parse(byte* address, uint length, int domain, out ulong low, out ulong high, out ushort port)
    {
        low = high = 0;
        port = 0;
        int error = Check(address, length);
        if (error != 0)
        {
            return error;
        }

        if (length < (domain == Abi.AF_INET ? 16 : 24))
        {
            return Abi.EINVAL;
        }

        if (*(ushort*)address != domain)
        {
            return Abi.EAFNOSUPPORT;
        }

        if (domain == Abi.AF_INET)
        {
            high = Map(*(uint*)(address + 4));
        }
        else
        {
            low = *(ulong*)(address + 8);
            high = *(ulong*)(address + 16);
        }

        port = Swap(*(ushort*)(address + 2));
        return 0;
    }

    /// <summary>224.0.0.0/4 and ff00::/8.</summary>
    internal static bool IsMulticast(ulong low, ulong high) =>
        IsMapped(low, high) ? ((byte)(high >> 32) & 0xF0) == 0xE0 : (byte)low == 0xFF;

    /// <summary>Writes an address as the kernel does: as much as fits, and the full length. 0, or the errno.</summary>
    internal static int Put(int domain, ulong low, ulong high, ushort port, void* address, uint* length)
    {
        if (!UserMemory.CanWrite(length, sizeof(uint)))
        {
            return Abi.EFAULT;
        }

        byte* full = stackalloc byte[28];
        uint bytes = Format(domain, low, high, port, full);
        uint room = *length < bytes ? *length : bytes;
        if ((int)*length < 0)
        {
            return Abi.EINVAL;
        }

        if (!UserMemory.CanWrite(address, room))
        {
            return Abi.EFAULT;
        }

        _ = Libc.memmove(address, full, room);
        *length = bytes;
        return 0;
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
