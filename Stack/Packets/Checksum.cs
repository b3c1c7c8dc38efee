using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NetKernel.Stack;

/// <summary>
/// The Internet checksum (RFC 1071). Sums are kept as the little-endian words lie in memory: the one's complement sum is the same in either byte order
/// (RFC 1071, 2B), so nothing is swapped.
/// </summary>
public static unsafe class Checksum
{
    /// <summary>The one's complement sum of the bytes, folded to 16 bits.</summary>
    public static uint Sum(byte* p, uint length)
    {
        ulong sum = 0;
        if (Vector256.IsHardwareAccelerated && length >= 64)
        {
            // 32-bit words into 64-bit lanes: no carry is lost before 2^32 words.
            Vector256<ulong> a = Vector256<ulong>.Zero, b = Vector256<ulong>.Zero;
            Vector256<ulong> mask = Vector256.Create(0xFFFF_FFFFul);
            while (length >= 64)
            {
                Vector256<ulong> x = Vector256.Load((ulong*)p), y = Vector256.Load((ulong*)(p + 32));
                a += (x & mask) + (y & mask);
                b += Vector256.ShiftRightLogical(x, 32) + Vector256.ShiftRightLogical(y, 32);
                p += 64;
                length -= 64;
            }

            a += b;
            for (int i = 0; i < 4; i++)
            {
                sum = Add(sum, a.GetElement(i));
            }
        }

        while (length >= 8)
        {
            sum = Add(sum, Unsafe.ReadUnaligned<ulong>(p));
            p += 8;
            length -= 8;
        }

        if ((length & 4) != 0)
        {
            sum = Add(sum, Unsafe.ReadUnaligned<uint>(p));
            p += 4;
        }

        if ((length & 2) != 0)
        {
            sum = Add(sum, Unsafe.ReadUnaligned<ushort>(p));
            p += 2;
        }

        if ((length & 1) != 0)
        {
            sum = Add(sum, *p);
        }

        return Fold(sum);
    }

    /// <summary>Adds the sum of bytes that begin at an odd (true) or even offset of the whole.</summary>
    public static uint Combine(uint sum, uint part, bool odd)
    {
        part = odd ? ((part & 0xFF) << 8) | (part >> 8) : part;
        return Fold((ulong)sum + part);
    }

    /// <summary>The sum of a pseudo header (RFC 9293, 3.1; RFC 8200, 8.1), as far as it is the same for both families.</summary>
    public static uint PseudoHeader(in Address source, in Address destination, byte protocol, uint length)
    {
        ulong sum = source.IsV4 ? (ulong)source.V4Bits + destination.V4Bits : Add(Add(source.Low, source.High), Add(destination.Low, destination.High));
        sum = Add(sum, (ulong)Swap((ushort)length) + Swap((ushort)(length >> 16)) + Swap(protocol));
        return Fold(sum);
    }

    /// <summary>What goes into the header: the complement of a folded sum.</summary>
    public static ushort Finish(uint sum) => (ushort)~sum;

    /// <summary>Folds a sum to 16 bits.</summary>
    public static uint Fold(ulong sum)
    {
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + (sum >> 32);
        sum = (sum & 0xFFFF) + (sum >> 16);
        return (uint)((sum & 0xFFFF) + (sum >> 16));
    }

    /// <summary>Network order.</summary>
    internal static ushort Swap(ushort value) => (ushort)((value << 8) | (value >> 8));

    private static ulong Add(ulong a, ulong b)
    {
        a += b;
        return a < b ? a + 1 : a;
    }
}
