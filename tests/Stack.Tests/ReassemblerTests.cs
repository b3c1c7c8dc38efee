namespace NetKernel.Stack.Tests;

/// <summary>Fragments put together (RFC 791, 3.2; RFC 8200, 4.5; RFC 5722): any order, nothing that overlaps, a bound in number and time.</summary>
public sealed unsafe class ReassemblerTests : IDisposable
{
    private const int Slots = 32;
    private readonly StackCounters _counters = new();
    private readonly Reassembler _reassembler;

    public ReassemblerTests() => _reassembler = new Reassembler(_counters);

    public void Dispose() => _reassembler.Dispose();

    /// <summary>The largest datagram there is, its fragments in any order, each of them twice, beside another one of the same peer.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void AnyOrderWillDo(int seed)
    {
        Random random = new(seed);
        byte[] whole = new byte[65_535], other = new byte[3_000];
        random.NextBytes(whole);
        random.NextBytes(other);
        (byte[] Of, uint Id, int At)[] pieces = [.. Pieces(whole, 7, 1480), .. Pieces(other, 8, 1480)];
        byte[]? gotWhole = null, gotOther = null;

        // The last one of each comes once: after the datagram is complete the same fragment would begin another.
        random.Shuffle(pieces);
        foreach ((byte[] of, uint id, int at) in pieces)
        {
            byte[]? got = Add(of, id, at, 1480);
            gotWhole = id == 7 && got != null ? got : gotWhole;
            gotOther = id == 8 && got != null ? got : gotOther;
            if (got == null)
            {
                Assert.Null(Add(of, id, at, 1480));
            }
        }

        Assert.Equal(whole, gotWhole);
        Assert.Equal(other, gotOther);
        Assert.Equal(0ul, _counters.Dropped(DropReason.BadFragment));
    }

    /// <summary>RFC 5722, 4: what overlaps ends the datagram; what was missing, or the right fragment, does not bring it back.</summary>
    [Theory]
    [InlineData(8, 16)] // begins inside of the first
    [InlineData(0, 8)] // the first, shorter
    [InlineData(16, 24)] // across the last
    public void AnOverlapEndsTheDatagram(int at, int length)
    {
        byte[] whole = new byte[40];
        Assert.Null(Add(whole, 1, 0, 16));
        Assert.Null(Add(whole, 1, 32, 16));
        Assert.Null(Add(whole, 1, at, length));
        Assert.Equal(1ul, _counters.Dropped(DropReason.BadFragment));
        Assert.Null(Add(whole, 1, 16, 16));
        Assert.NotNull(Whole(2));
    }

    /// <summary>Two ends, data beyond the end, an end before data, sizes that cannot be.</summary>
    [Fact]
    public void ImpossibleFragmentsAreCounted()
    {
        byte[] data = new byte[65_600];
        Assert.Null(Add(1, 8, false, data, 8));
        Assert.Null(Add(1, 16, false, data, 8)); // another end
        Assert.Null(Add(2, 8, false, data, 8));
        Assert.Null(Add(2, 16, true, data, 8)); // beyond the end
        Assert.Null(Add(3, 16, true, data, 8));
        Assert.Null(Add(3, 0, false, data, 8)); // an end before what is there
        Assert.Equal(3ul, _counters.Dropped(DropReason.BadFragment));
        Assert.Null(Add(4, 0, true, data, 0));
        Assert.Null(Add(4, 0, true, data, 12)); // not a multiple of eight
        Assert.Null(Add(4, 65_528, false, data, 8)); // one byte more than a datagram can have
        Assert.Equal(6ul, _counters.Dropped(DropReason.BadFragment));
        Assert.NotNull(Whole(5));
    }

    /// <summary>A flood of beginnings takes no more than its places: the oldest goes, and honest datagrams still come through.</summary>
    [Fact]
    public void TheOldestMakesRoom()
    {
        byte[] data = new byte[8];
        for (uint id = 0; id < Slots + 10; id++)
        {
            Assert.Null(Add(id, 0, true, data, 8, now: id));
        }

        Assert.Equal(10ul, _counters.Dropped(DropReason.ReassemblyFull));
        Assert.NotNull(Add(Slots + 9, 8, false, data, 8, now: 100)); // the newest is there
        Assert.Null(Add(0, 8, false, data, 8, now: 101)); // the oldest is not
    }

    /// <summary>RFC 791: thirty seconds; what comes later begins anew.</summary>
    [Fact]
    public void WhatTakesTooLongIsForgotten()
    {
        byte[] data = new byte[8];
        Assert.Null(Add(1, 0, true, data, 8, now: 0));
        Assert.Null(Add(1, 8, false, data, 8, now: 30_000_001));
        Assert.Equal(1ul, _counters.Dropped(DropReason.ReassemblyTimeout));
        Assert.NotNull(Add(1, 0, true, data, 8, now: 30_000_002));
    }

    private static IEnumerable<(byte[] Of, uint Id, int At)> Pieces(byte[] of, uint id, int size)
    {
        for (int at = 0; at < of.Length; at += size)
        {
            yield return (of, id, at);
        }
    }

    private byte[]? Whole(uint id)
    {
        byte[] data = new byte[8];
        Assert.Null(Add(id, 8, false, data, 8));
        return Add(id, 0, true, data, 8);
    }

    private byte[]? Add(byte[] of, uint id, int at, int size)
    {
        int length = Math.Min(size, of.Length - at);
        return Add(id, (uint)at, at + length < of.Length, of[at..(at + length)], (uint)length);
    }

    private byte[]? Add(uint id, uint offset, bool more, byte[] data, uint length, long now = 0)
    {
        FragmentKey key = new() { Source = Host.Parse("198.18.0.2"), Destination = Host.Parse("198.18.0.1"), Id = id, Protocol = Protocol.Udp };
        fixed (byte* p = data)
        {
            return _reassembler.Add(key, offset, more, p, length, now, out byte* datagram, out uint total) ? new ReadOnlySpan<byte>(datagram, (int)total).ToArray() : null;
        }
    }
}
