using FsCheck;
using FsCheck.Fluent;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.Channel.Tests;

public sealed unsafe class RingTests : IDisposable
{
    private const uint Slots = 16;
    private readonly SharedRegion _region = SharedRegion.Create("ring-test", 1 << 20);

    public void Dispose() => _region.Dispose();

    private RingHeader* Header => (RingHeader*)_region.Start;

    private (RingProducer, RingConsumer) Fresh(uint start = 0)
    {
        new Span<byte>(_region.Start, (int)RingHeader.BytesFor(Slots)).Clear();
        Header->Tail = start;
        Header->Head = start;
        return (new RingProducer(_region.Start, Slots), new RingConsumer(_region.Start, Slots));
    }

    [Fact]
    public void A_ring_behaves_as_a_bounded_queue() =>
        Prop.ForAll(
            (from start in Gen.OneOf(Gen.Constant(0), Gen.Constant(-1), Gen.Choose(-40, -1))
             from steps in Gen.ListOf(from what in Gen.Choose(0, 4) from count in Gen.Choose(0, 20) select (what, count))
             select (start, steps)).ToArbitrary(),
            c =>
            {
                (RingProducer producer, RingConsumer consumer) = Fresh((uint)c.start);
                var model = new Queue<ulong>();
                ulong next = 0;
                Nqe* buffer = stackalloc Nqe[32];
                foreach ((int what, int count) in c.steps)
                {
                    switch (what)
                    {
                        case 0: // a batch in
                            for (int i = 0; i < count; i++)
                            {
                                buffer[i] = new Nqe { OpData = next + (ulong)i, DataPtr = ~(next + (ulong)i) };
                            }

                            uint room = Slots - (uint)model.Count;
                            uint n = producer.Enqueue(buffer, (uint)count);
                            Assert.Equal(Math.Min(room, (uint)count), n);
                            for (uint i = 0; i < n; i++)
                            {
                                model.Enqueue(next++);
                            }

                            break;
                        case 1: // a batch out
                            uint taken = consumer.Dequeue(buffer, (uint)count);
                            Assert.Equal(Math.Min((uint)model.Count, (uint)count), taken);
                            for (uint i = 0; i < taken; i++)
                            {
                                ulong expected = model.Dequeue();
                                Assert.Equal((expected, ~expected), (buffer[i].OpData, buffer[i].DataPtr));
                            }

                            break;
                        case 2: // staged, published together
                            int staged = 0;
                            for (; staged < count; staged++)
                            {
                                Nqe* slot = producer.TryStage();
                                if (slot == null)
                                {
                                    break;
                                }

                                *slot = new Nqe { OpData = next + (ulong)staged, DataPtr = ~(next + (ulong)staged) };
                            }

                            Assert.Equal((uint)staged, producer.Staged);
                            Assert.Equal((uint)model.Count, consumer.Refresh()); // not visible yet
                            producer.Publish();
                            for (int i = 0; i < staged; i++)
                            {
                                model.Enqueue(next++);
                            }

                            break;
                        case 3: // looked at, half of it taken
                            uint seen = consumer.Peek(buffer, (uint)count);
                            Assert.Equal(Math.Min((uint)model.Count, (uint)count), seen);
                            consumer.Release(seen / 2);
                            for (uint i = 0; i < seen / 2; i++)
                            {
                                Assert.Equal(model.Dequeue(), buffer[i].OpData);
                            }

                            break;
                        default: // both ends start anew where the last stopped
                            producer = new RingProducer(_region.Start, Slots);
                            consumer = new RingConsumer(_region.Start, Slots);
                            break;
                    }

                    Assert.Equal((uint)model.Count, consumer.Refresh());
                    Assert.Equal(Slots - (uint)model.Count, producer.Free(Slots));
                    Assert.False(producer.IsBroken || consumer.IsBroken);
                }

                return true;
            }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(17u)]
    [InlineData(0x80000000u)]
    [InlineData(uint.MaxValue)]
    public void An_impossible_tail_breaks_the_consumer_and_gives_nothing(uint tail)
    {
        (_, RingConsumer consumer) = Fresh();
        Header->Tail = tail;
        Nqe element;
        Assert.Equal(0u, consumer.Dequeue(&element, 1));
        Assert.True(consumer.IsBroken);
    }

    [Theory]
    [InlineData(100u)]
    [InlineData(0x80000000u)]
    [InlineData(uint.MaxValue)]
    public void An_impossible_head_breaks_the_producer_and_overwrites_nothing(uint head)
    {
        (RingProducer producer, _) = Fresh();
        Nqe element = default;
        for (uint i = 0; i < 4; i++)
        {
            Assert.True(producer.TryEnqueue(&element));
        }

        Header->Head = head; // beyond the tail
        while (!producer.IsBroken && producer.TryEnqueue(&element))
        {
            Assert.True(Header->Tail <= Slots);
        }

        Assert.True(producer.IsBroken);
        Assert.Equal(0u, producer.Free(1));
    }

    [Fact]
    public void A_spoilt_index_does_not_move_the_side_that_owns_it()
    {
        (RingProducer producer, RingConsumer consumer) = Fresh();
        Nqe element = new() { OpData = 1 };
        Assert.True(producer.TryEnqueue(&element));
        Header->Tail = 12345; // the other side writes where it must not
        element.OpData = 2;
        Assert.True(producer.TryEnqueue(&element));
        Assert.Equal(2u, Header->Tail);
        Header->Head = 777;
        Nqe* out2 = stackalloc Nqe[2];
        Assert.Equal(2u, consumer.Dequeue(out2, 2));
        Assert.Equal((1ul, 2ul, 2u), (out2[0].OpData, out2[1].OpData, Header->Head));
    }

    [Theory]
    [InlineData(16u, 1u)]
    [InlineData(1024u, 64u)]
    [InlineData(4096u, 256u)]
    public void Another_process_takes_out_what_this_one_puts_in(uint slots, uint batch)
    {
        const uint Count = 300_000;
        using var region = SharedRegion.Create("ring", (RingHeader.BytesFor(slots) + 4095) & ~4095ul);
        using var other = new OtherProcess("ring", $"{Environment.ProcessId}", $"{region.Fd}", $"{slots}", $"{Count}");
        var producer = new RingProducer(region.Start, slots);
        Nqe* elements = stackalloc Nqe[256];
        long end = Environment.TickCount64 + (long)Waiting.Deadline.TotalMilliseconds;
        for (uint next = 0; next < Count;)
        {
            uint n = Math.Min(batch, Count - next);
            for (uint i = 0; i < n; i++)
            {
                elements[i] = new Nqe { OpData = next + i, DataPtr = ~(ulong)(next + i) };
            }

            uint put = producer.Enqueue(elements, n);
            next += put;
            if (put == 0)
            {
                Assert.True(Environment.TickCount64 < end, "the other process does not drain");
                _ = Libc.Yield();
            }
        }

        Assert.Equal(0, other.Wait());
    }

    [Fact]
    public void The_idle_strategy_spins_then_yields_then_sleeps_and_starts_over()
    {
        var idle = new IdleStrategy(2, 3);
        IdleAction[] once = [IdleAction.Spin, IdleAction.Spin, IdleAction.Yield, IdleAction.Yield, IdleAction.Yield, IdleAction.Sleep, IdleAction.Sleep];
        Assert.Equal(once, once.Select(_ => idle.Next(1000)));
        idle.Reset();
        Assert.Equal(IdleAction.Spin, idle.Next(1000));
        Assert.Equal(IdleAction.Sleep, new IdleStrategy(0, 0).Next(1000));
    }

    [Fact]
    public void A_yield_that_took_long_ends_the_polling_for_a_while()
    {
        var idle = new IdleStrategy(0, 3);
        Assert.Equal(IdleAction.Yield, idle.Next(0));
        Assert.Equal(IdleAction.Sleep, idle.Next(IdleStrategy.Long + 1));
        for (uint i = 0; i < IdleStrategy.Penalty; i++)
        {
            idle.Reset();
            Assert.Equal(IdleAction.Sleep, idle.Next(0));
        }

        idle.Reset();
        Assert.Equal(IdleAction.Yield, idle.Next(0));
    }

    [Fact]
    public void A_yield_to_nobody_ends_the_polling_when_the_other_side_is_on_the_same_core()
    {
        var idle = new IdleStrategy(0, 3) { Beside = true };
        Assert.Equal(IdleAction.Yield, idle.Next(0));
        Assert.Equal(IdleAction.Sleep, idle.Next(IdleStrategy.Short - 1)); // nobody ran: the other side waits for this one to sleep

        idle.Reset();
        Assert.Equal(IdleAction.Yield, idle.Next(0));
        Assert.Equal(IdleAction.Yield, idle.Next(IdleStrategy.Short)); // somebody ran, and no penalty

        idle.Reset();
        idle.Beside = false;
        Assert.Equal(IdleAction.Yield, idle.Next(0));
        Assert.Equal(IdleAction.Yield, idle.Next(IdleStrategy.Short - 1)); // on another core it may be about to publish
    }

    [Fact]
    public void After_a_sleep_that_was_not_brief_a_few_yields_are_enough()
    {
        const uint Yields = 20;
        var idle = new IdleStrategy(0, Yields);
        Assert.Equal(Yields, YieldsBeforeSleep(ref idle));
        idle.Woke(IdleStrategy.Brief);
        Assert.Equal(IdleStrategy.Few, YieldsBeforeSleep(ref idle));
        idle.Reset(); // work that was found says nothing of it
        Assert.Equal(IdleStrategy.Few, YieldsBeforeSleep(ref idle));
        idle.Woke(IdleStrategy.Brief - 1);
        Assert.Equal(Yields, YieldsBeforeSleep(ref idle));
        Assert.Equal(0u, IdleStrategy.BudgetAfter(long.MaxValue, 0));
    }

    private static uint YieldsBeforeSleep(ref IdleStrategy idle)
    {
        uint yields = 0;
        while (idle.Next(0) == IdleAction.Yield)
        {
            yields++;
        }

        return yields;
    }
}
