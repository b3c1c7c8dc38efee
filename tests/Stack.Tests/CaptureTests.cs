using System.Reflection;
using NetKernel.Testing;

namespace NetKernel.Stack.Tests;

/// <summary>What stacks send, as tshark sees it: no malformed packet, no wrong checksum or length.</summary>
public sealed unsafe class CaptureTests : IDisposable
{
    private readonly string _file = Path.GetTempFileName();

    public void Dispose() => File.Delete(_file);

    /// <summary>All packet scripts.</summary>
    [Fact]
    public void TsharkFindsNoFaultInTheScripts()
    {
        int scripts = 0;
        Record(() =>
        {
            foreach (Type type in typeof(PacketScript).Assembly.GetTypes().Where(type => type.Name.EndsWith("Scripts", StringComparison.Ordinal)))
            {
                foreach (MethodInfo script in type.GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is { Skip: null } and not TheoryAttribute))
                {
                    _ = script.Invoke(Activator.CreateInstance(type), null);
                    scripts++;
                }
            }
        });
        Assert.True(scripts > 25, $"{scripts} scripts");
        Judge(150);
    }

    /// <summary>Transfers over good links and bad ones, both families, with offloads and without, ECN, cookies; and what the stack answers to pings and strangers.</summary>
    [Fact]
    public void TsharkFindsNoFaultInTransfers()
    {
        Record(() =>
        {
            TransferTests transfers = new();
            transfers.CleanLink(v6: false);
            transfers.CleanLink(v6: true);
            transfers.SegmentationOffload();
            for (int seed = 0; seed < 12; seed++)
            {
                transfers.ImpairedLink(seed);
            }
        });
        Judge(5000);
    }

    /// <summary>The judge itself: one bit in one frame is found, whichever layer it is in.</summary>
    [Theory]
    [InlineData(26)]
    [InlineData(60)]
    [InlineData(46)]
    public void TsharkFindsAChangedBit(int at)
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(1000, 1), TransferTests.Bytes(10, 2), v6: false);
        byte[] frame = (byte[])sim.Capture.First(c => c.Frame.Length > 1000).Frame.Clone();
        frame[at] ^= 1;
        using (FileStream to = File.Create(_file))
        {
            _ = new PcapWriter(to).Add(1, frame);
        }

        Assert.Single(Tshark.Errors(_file));
    }

    [Fact]
    public void AFileEndsAtItsLimits()
    {
        using MemoryStream to = new();
        PcapWriter few = new(to, mostPackets: 2);
        Assert.True(few.Add(1, new byte[60]) && few.Add(2, new byte[60]));
        Assert.False(few.IsFull);
        Assert.False(few.Add(3, new byte[60]));
        Assert.True(few.IsFull);
        Assert.Equal((2ul, (ulong)to.Length), (few.Packets, few.Bytes));

        using MemoryStream small = new();
        PcapWriter bytes = new(small, mostBytes: 200);
        Assert.True(bytes.Add(1, new byte[100]));
        Assert.False(bytes.Add(1, new byte[100]));
        Assert.False(bytes.Add(1, new byte[10])); // Full is full: what follows a gap would mislead.
        Assert.Equal(24 + 16 + 100, small.Length);
    }

    private void Record(Action run)
    {
        using FileStream to = File.Create(_file);
        Simulation.Recorder = new PcapWriter(to);
        try
        {
            run();
        }
        finally
        {
            Simulation.Recorder = null;
        }
    }

    private void Judge(int least)
    {
        Assert.Empty(Tshark.Errors(_file));
        Assert.True(Tshark.Packets(_file, "tcp").Length >= least);
    }
}
