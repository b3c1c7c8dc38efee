using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using NetKernel.Channel;

namespace NetKernel.ServiceLib.Tests;

public sealed unsafe class RxPoolTests
{
    private static PoolLayout Layout(int small, int medium, int large)
    {
        PoolLayout layout = default;
        layout.Tx.Small = 1;
        layout.Rx.Small = (uint)small;
        layout.Rx.Medium = (uint)medium;
        layout.Rx.Large = (uint)large;
        return layout;
    }

    [Fact]
    public void Follows_a_model_of_owners() => Prop.ForAll(
        ArbMap.Default.ArbFor<(byte, byte)[]>(),
        steps =>
        {
            RxPool pool = new(Layout(5, 3, 2).RxHalf);
            Connection* connections = (Connection*)NativeMemory.AllocZeroed(3, (nuint)sizeof(Connection));
            List<(uint Chunk, uint Data)>[] model = [[], [], []];
            for (int i = 0; i < 3; i++)
            {
                connections[i].RxFirst = RxPool.None;
            }

            foreach ((byte action, byte argument) in steps)
            {
                int who = action % 3;
                Connection* c = &connections[who];
                switch (action / 3 % 4)
                {
                    case 0 or 1:
                        uint chunk = pool.Take(argument % 3, first: true);
                        Assert.Equal(model.Sum(m => m.Count) == 10, chunk == RxPool.None);
                        if (chunk != RxPool.None)
                        {
                            Assert.DoesNotContain(chunk, model.SelectMany(m => m).Select(m => m.Chunk));
                            pool.Own(chunk, c, argument % 5u);
                            model[who].Add((chunk, argument % 5u));
                        }

                        break;
                    case 2:
                        uint named = argument % 10u;
                        bool known = model[who].Any(m => m.Chunk == named);
                        Assert.Equal(known, pool.Return(pool.OffsetOf(named) + (argument % 2u), c));
                        _ = model[who].RemoveAll(m => m.Chunk == named);
                        break;
                    default:
                        if (argument % 4 == 0)
                        {
                            pool.ReturnAll(c);
                            model[who].Clear();
                        }

                        break;
                }

                Assert.Equal((uint)model[who].Count(m => m.Data != 0), c->RxOut);
                Assert.Equal((uint)model[who].Sum(m => m.Data), c->RxDataOut);
                Assert.Equal((uint)model[who].Where(m => m.Data != 0).Sum(m => pool.BytesOf(m.Chunk)), c->RxBytesOut);
                Assert.Equal(pool.TotalBytes - (ulong)model.SelectMany(m => m).Sum(m => pool.BytesOf(m.Chunk)), pool.FreeBytes);
            }

            NativeMemory.Free(connections);
            pool.Release();
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Half_of_the_small_chunks_are_kept_for_who_has_none()
    {
        RxPool pool = new(Layout(6, 1, 1).RxHalf);
        for (int i = 0; i < 5; i++)
        {
            Assert.NotEqual(RxPool.None, pool.Take(0, first: false));
        }

        Assert.Equal(RxPool.None, pool.Take(2, first: false));
        Assert.Equal(0u, pool.ShareOf(1 << 20));
        for (int i = 0; i < 3; i++)
        {
            Assert.NotEqual(RxPool.None, pool.Take(2, first: true));
        }

        Assert.Equal((RxPool.None, 0ul), (pool.Take(0, first: true), pool.FreeBytes));
        pool.Release();
    }

    [Fact]
    public void Takes_the_class_then_smaller_then_larger()
    {
        RxPool pool = new(Layout(1, 2, 1).RxHalf);
        Assert.Equal(1u, pool.Take(1, first: true));
        Assert.Equal(2u, pool.Take(1, first: true));
        Assert.Equal(0u, pool.Take(1, first: true));
        Assert.Equal(3u, pool.Take(1, first: true));
        Assert.Equal(RxPool.None, pool.Take(1, first: true));
        Assert.Equal(0ul, pool.FreeBytes);
        pool.Free(2);
        pool.Free(1);
        Assert.Equal(1u, pool.Take(1, first: true)); // Last in, first out.
        pool.Release();
    }

    [Fact]
    public void Offsets_outside_the_half_are_nobodys()
    {
        PoolLayout layout = Layout(4, 0, 0);
        RxPool pool = new(layout.RxHalf);
        Connection* c = (Connection*)NativeMemory.AllocZeroed((nuint)sizeof(Connection));
        c->RxFirst = RxPool.None;
        pool.Own(pool.Take(0, first: true), c, 1);
        ulong[] wrong = [0, PoolLayout.TxOffset, layout.RxOffset - 1, layout.RxOffset + 2048, layout.RxOffset + (4 * 2048), layout.Length, ulong.MaxValue];
        foreach (ulong offset in wrong)
        {
            Assert.False(pool.Return(offset, c));
        }

        Assert.True(pool.Return(layout.RxOffset + 100, c));
        Assert.False(pool.Return(layout.RxOffset, c));
        NativeMemory.Free(c);
        pool.Release();
    }
}
