using System.Globalization;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Our congestion control beside Linux's at one real bottleneck: 20 Mbit/s, a queue of 100,000 bytes. Bounded by bytes: on a busy machine it only takes longer. NK_LONG=1.</summary>
public sealed class FairnessTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Runs = 3;
    private const long WarmUp = 10_000_000, Bytes = 40_000_000;

    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void CubicFlowsShareALink(bool firstIsOurs, bool secondIsOurs)
    {
        if (!KernelPeer.CanRun || Environment.GetEnvironmentVariable("NK_LONG") is not { Length: > 0 })
        {
            return;
        }

        long first = 0, second = 0;
        for (int run = 1; run <= Runs; run++)
        {
            long[] got = Bottleneck.Share("cubic", firstIsOurs, secondIsOurs, WarmUp, Bytes);
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"run {run}: {got[0]} and {got[1]} bytes, Jain's index {Jain(got[0], got[1]):F3}"));
            first += got[0];
            second += got[1];
        }

        double index = Jain(first, second);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"all: {index:F3}"));
        Assert.True(index >= 0.9, string.Create(CultureInfo.InvariantCulture, $"{first} and {second} bytes: {index:F3}"));
    }

    private static double Jain(double x, double y) => (x + y) * (x + y) / (2 * ((x * x) + (y * y)));
}
