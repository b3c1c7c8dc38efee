using FsCheck;
using FsCheck.Fluent;

namespace NetKernel.Stack.Tests;

public sealed unsafe class ChecksumTests
{
    /// <summary>RFC 1071, 4.1, byte by byte.</summary>
    private static uint Plain(ReadOnlySpan<byte> data)
    {
        uint sum = 0;
        for (int i = 0; i < data.Length; i++)
        {
            sum += (uint)data[i] << ((i & 1) * 8);
            sum = (sum & 0xFFFF) + (sum >> 16);
        }

        return (sum & 0xFFFF) + (sum >> 16);
    }

    [Fact]
    public void SumIsThePlainOne()
    {
        Random random = new(1);
        byte[] data = new byte[70_000];
        random.NextBytes(data);
        fixed (byte* p = data)
        {
            for (int i = 0; i < 3000; i++)
            {
                int start = random.Next(64), length = random.Next(10) == 0 ? random.Next(66_000) : random.Next(300);
                Assert.Equal(Plain(data.AsSpan(start, length)), Checksum.Sum(p + start, (uint)length));
            }
        }

        Array.Fill(data, (byte)0xFF);
        fixed (byte* p = data)
        {
            Assert.Equal(0xFFFFu, Checksum.Sum(p, 65_536));
        }
    }

    [Fact]
    public void PartsCombineAtAnyOffset()
    {
        Prop.ForAll(
            ArbMap.Default.ArbFor<byte[]>(),
            ArbMap.Default.ArbFor<byte[]>(),
            (a, b) =>
            {
                a ??= [];
                b ??= [];
                byte[] whole = [.. a, .. b, 0];
                a = [.. a, 0];
                b = [.. b, 0];
                fixed (byte* pa = a, pb = b, pw = whole)
                {
                    uint la = (uint)a.Length - 1, lb = (uint)b.Length - 1;
                    return Checksum.Combine(Checksum.Sum(pa, la), Checksum.Sum(pb, lb), (la & 1) != 0) == Checksum.Sum(pw, la + lb);
                }
            }).QuickCheckThrowOnFailure();
    }
}
