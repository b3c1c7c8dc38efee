using NetKernel.Channel;
using Xunit;

namespace NetKernel.CoreEngine.Tests;

public sealed unsafe class NqeWordsTests
{
    [Fact]
    public void Reads_the_fields_that_an_nqe_has()
    {
        var random = new Random(1);
        Nqe e;
        for (int i = 0; i < 1000; i++)
        {
            random.NextBytes(new Span<byte>(&e, Nqe.Length));
            var words = new NqeWords(&e);
            Assert.Equal((e.Op, e.Socket, e.DataPtr, e.Size), (words.Op, words.Socket, words.DataPtr, words.Size));
        }
    }

    [Fact]
    public void Writes_what_it_read_with_whom_it_is_from_and_to_replaced()
    {
        var random = new Random(2);
        Nqe e;
        Nqe slot;
        for (int i = 0; i < 1000; i++)
        {
            random.NextBytes(new Span<byte>(&e, Nqe.Length));
            random.NextBytes(new Span<byte>(&slot, Nqe.Length));
            uint guest = (uint)random.Next(1 << 24);
            uint queueSet = (uint)random.Next(256);
            uint socket = (uint)random.NextInt64(1L << 32);
            new NqeWords(&e).Write(&slot, new NqeStamp((byte)guest, (ushort)(guest >> 8), queueSet), socket);
            e.Vm = guest;
            e.QueueSet = (byte)queueSet;
            e.Socket = socket;
            Assert.True(new Span<byte>(&e, Nqe.Length).SequenceEqual(new Span<byte>(&slot, Nqe.Length)));
        }
    }
}
