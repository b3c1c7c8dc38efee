using FsCheck;
using FsCheck.Fluent;

namespace NetKernel.Channel.Tests;

public class ProcessMaskTests
{
    [Fact]
    public void It_is_a_set_of_numbers_below_256() =>
        Prop.ForAll(
            Gen.Choose(0, 255).ListOf().Select(list => list.Select(bit => (uint)bit).ToArray()).ToArbitrary(),
            Gen.Choose(0, 300).ToArbitrary(),
            (bits, from) =>
            {
                ProcessMask mask = default;
                ProcessMask shared = default;
                foreach (uint bit in bits)
                {
                    mask.Set(bit);
                    shared.Share(bit);
                }

                uint[] expected = [.. bits.Distinct().Order()];
                Assert.Equal(expected, Walk(mask));
                Assert.Equal(mask, shared);
                Assert.Equal((expected.Length == 0, expected.Length <= 1), (mask.IsEmpty, mask.IsSingle));
                Assert.Equal(expected.Where(bit => bit >= from).Append(ProcessMask.None).First(), mask.Next((uint)from));
                foreach (uint bit in expected)
                {
                    Assert.True(mask.Has(bit) && shared.Unshare(bit) && !shared.Has(bit) && !shared.Unshare(bit));
                    mask.Clear(bit);
                }

                Assert.True(mask.IsEmpty && shared.IsEmpty);
            }).QuickCheckThrowOnFailure();

    [Fact]
    public void Adding_another_set_gives_both()
    {
        ProcessMask sum = ProcessMask.Of(0);
        ProcessMask other = ProcessMask.Of(255);
        other.Set(64);
        sum.Add(other);
        Assert.Equal([0u, 64u, 255u], Walk(sum));
    }

    private static uint[] Walk(ProcessMask mask)
    {
        var bits = new List<uint>();
        for (uint bit = mask.Next(0); bit != ProcessMask.None; bit = mask.Next(bit + 1))
        {
            bits.Add(bit);
        }

        return [.. bits];
    }
}
