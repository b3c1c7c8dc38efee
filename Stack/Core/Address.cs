using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>An IP address: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Address : IEquatable<Address>
{
    private const ulong MappedPrefix = 0xFFFF_0000;

    /// <summary>Bytes 0-7 as they lie in memory.</summary>
    public readonly ulong Low;

    /// <summary>Bytes 8-15 as they lie in memory.</summary>
    public readonly ulong High;

    /// <summary>From the two halves.</summary>
    public Address(ulong low, ulong high)
    {
        Low = low;
        High = high;
    }

    /// <summary>Neither family's any address: no address at all.</summary>
    public bool IsNone => (Low | High) == 0;

    /// <summary>Whether it is an IPv4 address.</summary>
    public bool IsV4 => Low == 0 && (uint)High == MappedPrefix;

    /// <summary>The IPv4 address in network order; meaningful when <see cref="IsV4"/>.</summary>
    public uint V4Bits => (uint)(High >> 32);

    /// <summary>First byte (of the IPv4 address, when it is one).</summary>
    public byte First => IsV4 ? (byte)V4Bits : (byte)Low;

    /// <summary>224.0.0.0/4 or ff00::/8.</summary>
    public bool IsMulticast => IsV4 ? (First & 0xF0) == 0xE0 : First == 0xFF;

    /// <summary>255.255.255.255.</summary>
    public bool IsBroadcast => IsV4 && V4Bits == uint.MaxValue;

    /// <summary>127.0.0.0/8 or ::1.</summary>
    public bool IsLoopback => IsV4 ? First == 127 : Low == 0 && High == 0x0100_0000_0000_0000;

    /// <summary>0.0.0.0 or ::.</summary>
    public bool IsAny => IsV4 ? V4Bits == 0 : IsNone;

    /// <summary>fe80::/10.</summary>
    public bool IsLinkLocal => !IsV4 && (byte)Low == 0xFE && ((byte)(Low >> 8) & 0xC0) == 0x80;

    /// <summary>From an IPv4 address in network order.</summary>
    public static Address V4(uint bits) => new(0, MappedPrefix | ((ulong)bits << 32));

    /// <summary>From four bytes.</summary>
    public static Address V4(byte a, byte b, byte c, byte d) => V4(a | ((uint)b << 8) | ((uint)c << 16) | ((uint)d << 24));

    /// <summary>From 16 bytes in network order.</summary>
    public static unsafe Address V6(byte* bytes) => new(*(ulong*)bytes, *(ulong*)(bytes + 8));

    /// <summary>Whether the first <paramref name="bits"/> (of the family's length) are the same.</summary>
    public bool InPrefix(in Address prefix, int bits)
    {
        if (IsV4 != prefix.IsV4)
        {
            return false;
        }

        bits += IsV4 ? 96 : 0;
        return Same(Low, prefix.Low, bits) && Same(High, prefix.High, bits - 64);

        static bool Same(ulong a, ulong b, int bits)
        {
            if (bits <= 0)
            {
                return true;
            }

            ulong difference = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(a ^ b);
            return bits >= 64 ? difference == 0 : difference >> (64 - bits) == 0;
        }
    }

    /// <inheritdoc/>
    public bool Equals(Address other) => Low == other.Low && High == other.High;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Address other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Low, High);

    /// <summary>The same address.</summary>
    public static bool operator ==(in Address a, in Address b) => a.Low == b.Low && a.High == b.High;

    /// <summary>Another address.</summary>
    public static bool operator !=(in Address a, in Address b) => !(a == b);
}
