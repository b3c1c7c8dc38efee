using System.Runtime.InteropServices;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>The rings of an AF_XDP socket in plain memory: the test is the kernel.</summary>
public sealed unsafe class XdpRingTests : IDisposable
{
    private const uint Size = 8;
    private readonly uint* _words = (uint*)NativeMemory.AllocZeroed(3, sizeof(uint));
    private readonly ulong* _addresses = (ulong*)NativeMemory.AllocZeroed(Size, sizeof(ulong));
    private readonly XdpDescriptor* _descriptors = (XdpDescriptor*)NativeMemory.AllocZeroed(Size, (nuint)sizeof(XdpDescriptor));

    private ref uint Producer => ref _words[0];

    private ref uint Consumer => ref _words[1];

    private ref uint Flags => ref _words[2];

    public void Dispose()
    {
        NativeMemory.Free(_words);
        NativeMemory.Free(_addresses);
        NativeMemory.Free(_descriptors);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(5u)]
    [InlineData(uint.MaxValue - 3)]
    public void WhatIsPutIsSeenInOrderOnceItIsPublished(uint start)
    {
        Producer = Consumer = start;
        XdpProducer ring = new(_words, _words + 1, _words + 2, _descriptors, Size);
        Assert.Equal(Size, ring.Free);
        for (uint i = 0; i < Size; i++)
        {
            ring.Put(i * 2048, 100 + i);
        }

        Assert.Equal((0u, start), (ring.Free, Producer));
        ring.Publish();
        Assert.Equal(unchecked(start + Size), Producer);
        Assert.False(ring.IsEmpty);
        for (uint i = 0; i < Size; i++)
        {
            XdpDescriptor one = _descriptors[unchecked(start + i) % Size];
            Assert.Equal((i * 2048ul, 100 + i), (one.Address, one.Length));
        }

        Consumer = unchecked(start + 3);
        Assert.Equal(3u, ring.Free);
        Consumer = Producer;
        Assert.True(ring.IsEmpty);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(uint.MaxValue - 3)]
    public void WhatTheKernelPutsIsTakenOnce(uint start)
    {
        Producer = Consumer = start;
        XdpConsumer ring = new(_words, _words + 1, _addresses, Size);
        Assert.Equal(0u, ring.Available);
        for (uint i = 0; i < Size; i++)
        {
            _addresses[unchecked(start + i) % Size] = 7000 + i;
        }

        Producer = unchecked(start + Size);
        Assert.Equal(Size, ring.Available);
        for (uint i = 0; i < Size; i++)
        {
            Assert.Equal(7000 + i, ring.TakeAddress());
        }

        Assert.Equal((0u, start), (ring.Available, Consumer));
        ring.Release();
        Assert.Equal(Producer, Consumer);
    }

    [Fact]
    public void IndexesThatCannotBeGiveNothing()
    {
        XdpProducer producer = new(_words, _words + 1, _words + 2, _addresses, Size);
        Consumer = 1; // more than was put
        Assert.Equal(0u, producer.Free);
        Consumer = 0;
        XdpConsumer consumer = new(_words, _words + 1, _addresses, Size);
        Producer = Size + 1; // more than fits
        Assert.Equal(0u, consumer.Available);
    }

    [Fact]
    public void TheKernelSaysWhenItMustBeCalled()
    {
        XdpProducer ring = new(_words, _words + 1, _words + 2, _addresses, Size);
        Assert.False(ring.NeedsCall);
        Flags = 1;
        Assert.True(ring.NeedsCall);
    }

    [Fact]
    public void ChunksAreCheckedAgainstWhatTheKernelSays()
    {
        using XdpChunks chunks = new(4, 1518);
        Assert.Equal((2048u, 8ul * 2048), (chunks.ChunkBytes, chunks.Bytes));
        Assert.True(chunks.Received(new XdpDescriptor { Address = 2048 + 256, Length = 1514 }) == chunks.Start + 2304);
        Assert.Equal(2048ul, chunks.ChunkOf(2304));
        foreach ((ulong address, uint length) in new[] { (2048ul + 256, 2048u), (4 * 2048ul, 64u), (ulong.MaxValue, 64u), (2047ul, 2u), (256ul, uint.MaxValue) })
        {
            Assert.True(chunks.Received(new XdpDescriptor { Address = address, Length = length }) == null, $"{address}, {length}");
        }

        HashSet<ulong> taken = [];
        for (int i = 0; i < 4; i++)
        {
            Assert.True(chunks.TryTake(out ulong address));
            Assert.InRange(address, 4 * 2048ul, (8 * 2048ul) - 1);
            Assert.True(taken.Add(address));
        }

        Assert.False(chunks.TryTake(out _));
        Assert.False(chunks.Give(0)); // one for what arrives
        Assert.False(chunks.Give(8 * 2048));
        ulong first = taken.First();
        Assert.True(chunks.Give(first));
        Assert.False(chunks.Give(first));
        Assert.True(chunks.TryTake(out ulong again));
        Assert.Equal(first, again);
    }

    [Fact]
    public void LargeFramesTakeAPage()
    {
        using XdpChunks chunks = new(4, 3000);
        Assert.Equal(4096u, chunks.ChunkBytes);
    }
}
