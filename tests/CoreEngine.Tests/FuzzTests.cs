using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>
/// One guest writes seeded garbage into everything that it shares with CoreEngine, a neighbour of the same NSM and loop sends and receives a byte
/// sequence meanwhile. NK_FUZZ_SECONDS sets the time, NK_FUZZ_SEED the seed.
/// </summary>
[Trait("Category", "Fault")]
public sealed unsafe class FuzzTests
{
    private const uint Chunk = 1000;

    [Fact]
    public void Garbage_of_one_guest_does_not_touch_its_neighbour()
    {
        int seconds = int.TryParse(Environment.GetEnvironmentVariable("NK_FUZZ_SECONDS"), out int s) ? s : 3;
        int seed = int.TryParse(Environment.GetEnvironmentVariable("NK_FUZZ_SEED"), out int given) ? given : 20260101;
        SharedRegion? pool = null;
        using var host = new EngineHost();
        host.Control.AddNsm(1);
        using var nsm = new FakeNsm(host.EngineSocket, 1)
        {
            Adding = (id, fd) =>
            {
                pool = id == 1 ? SharedRegion.Open(Libc.Fcntl(fd, 1030, 0), PoolLayout.Default.Length) : pool;
                return 0;
            },
        };
        host.Control.AddGuest(1, 1);
        _ = host.Control.News(AttachOp.NsmReady);
        using var neighbour = new FakeGuest(host.GuestSocket(1));
        uint id = Make.Connected(neighbour, nsm, socket: 1);

        using var end = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        var echo = new Thread(() => Echo(nsm, pool!, end.Token)) { IsBackground = true };
        echo.Start();
        int detached = 0;
        var hostile = new Thread(() => detached = Vandalise(host, seed, end.Token)) { IsBackground = true };
        hostile.Start();
        ulong bytes = Talk(neighbour, end.Token);
        hostile.Join();
        echo.Join();
        pool!.Dispose();

        Assert.Equal(RegionState.Running, neighbour.Header->State);
        Assert.False(neighbour.IsCutOff);
        Assert.True(bytes > 0 && detached > 0, $"{bytes} bytes, {detached} detachments (seed {seed})");
        using Stats stats = host.Stats();
        Assert.Equal((bytes, bytes), (stats.Guest(1).BytesSent, stats.Guest(1).BytesReceived));
        Assert.Equal(ConnectionState.Established, stats.Row(id).State);
    }

    /// <summary>The neighbour: sends a sequence, and wants it back unchanged.</summary>
    private static ulong Talk(FakeGuest guest, CancellationToken end)
    {
        ulong sent = 0;
        while (!end.IsCancellationRequested)
        {
            ulong place = PoolLayout.TxOffset + (sent / Chunk % 8 * PoolLayout.SmallBytes);
            for (uint i = 0; i < Chunk; i++)
            {
                guest.Pool!.Start[place + i] = Byte(sent + i);
            }

            guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 1, dataPtr: place, size: Chunk));
            Nqe data = guest.Take(0, RingKind.Receive);
            Assert.Equal((Op.Data, 1u, Chunk), (data.Op, data.Socket, data.Size));
            for (uint i = 0; i < Chunk; i++)
            {
                Assert.Equal(Byte(sent + i), guest.Pool!.Start[data.DataPtr + i]);
            }

            guest.Post(0, RingKind.Send, Make.Nqe(Op.RxCredit, 1, dataPtr: data.DataPtr, size: Chunk));
            Nqe done = guest.Take(0, RingKind.Completion);
            Assert.Equal((Op.SendDone, place), (done.Op, done.DataPtr));
            sent += Chunk;
        }

        return sent;

        static byte Byte(ulong at) => (byte)((at * 2654435761) >> 13);
    }

    /// <summary>The NSM: gives the neighbour's bytes back; drops whatever the vandal's get through.</summary>
    private static void Echo(FakeNsm nsm, SharedRegion pool, CancellationToken end)
    {
        ulong rx = PoolLayout.Default.RxOffset;
        uint turn = 0;
        Nqe[] one = new Nqe[1];
        long last = long.MaxValue;
        while (Environment.TickCount64 < last)
        {
            if (end.IsCancellationRequested && last == long.MaxValue)
            {
                last = Environment.TickCount64 + 300; // what is under way is answered
            }

            bool any = false;
            while (nsm.TryTake(RingKind.Job, one) == 1)
            {
                any = true;
                if (one[0].Op is Op.Bind or Op.Listen or Op.Connect or Op.GetOption)
                {
                    nsm.Post(RingKind.Completion, Make.Done(one[0]));
                }
            }

            while (nsm.TryTake(RingKind.Send, one) == 1)
            {
                any = true;
                Nqe e = one[0];
                if (e.Vm == 1 && e.Op == Op.Send)
                {
                    ulong place = rx + (turn++ % 16 * PoolLayout.SmallBytes);
                    Buffer.MemoryCopy(pool.Start + e.DataPtr, pool.Start + place, Chunk, e.Size);
                    nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, e.Socket, dataPtr: place, size: e.Size));
                    nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, e.Socket, dataPtr: e.DataPtr, size: e.Size));
                }
                else if (e.Op == Op.Close)
                {
                    nsm.Post(RingKind.Completion, Make.Nqe(Op.Closed, e.Socket));
                }
            }

            if (!any)
            {
                _ = Libc.Yield();
            }
        }
    }

    /// <summary>The vandal: plausible and impossible elements, torn indices, scribbled headers; detached, removed, made again. How often.</summary>
    private static int Vandalise(EngineHost host, int seed, CancellationToken end)
    {
        var random = new Random(seed);
        int detached = 0;
        while (!end.IsCancellationRequested)
        {
            host.Control.AddGuest(2, 1);
            using (var guest = new FakeGuest(host.GuestSocket(2), mapPool: false))
            {
                // The more a vandal knows of the rules, the further it gets.
                int manners = random.Next(3);
                for (int i = 0; i < 2000 && !end.IsCancellationRequested && Volatile.Read(ref guest.Header->State) == RegionState.Running; i++)
                {
                    Scribble(guest, random, manners);
                }
            }

            AttachMessage answer = host.Control.Ask(FakeControlPlane.Message(AttachOp.RemoveGuest, 2));
            Assert.Equal(0, answer.Error);
            while (host.Control.HasNews)
            {
                detached += host.Control.News().Op == AttachOp.GuestDetached ? 1 : 0;
            }
        }

        return detached;
    }

    private static void Scribble(FakeGuest guest, Random random, int manners)
    {
        uint q = (uint)random.Next(4);
        RingKind ring = random.Next(2) == 0 ? RingKind.Job : RingKind.Send;
        int what = random.Next(manners == 0 ? 100 : 4000);
        if (what == 0)
        {
            RingHeader* header = guest.RingOf(q, (RingKind)random.Next(4));
            uint value = random.Next(2) == 0 ? (uint)random.Next() : header->Tail + (uint)random.Next(-2000, 2000);
            if (random.Next(2) == 0)
            {
                header->Tail = value;
            }
            else
            {
                header->Head = value;
            }
        }
        else if (what == 1)
        {
            // Anywhere in the region's first pages, its rings, its sockets.
            ulong at = (ulong)random.NextInt64((long)guest.Control.Length - 8);
            *(ulong*)(guest.Control.Start + at) = (ulong)random.NextInt64();
        }
        else if (what == 2)
        {
            for (int i = 0; i < 64; i++)
            {
                guest.Control.Start[random.Next(4096 + (64 * 256))] = (byte)random.Next(256);
            }

            guest.Header->State = RegionState.Running;
        }
        else
        {
            Nqe e = default;
            if (manners < 2 && random.Next(50) == 0)
            {
                random.NextBytes(new Span<byte>(&e, Nqe.Length));
            }
            else
            {
                e.Op = ring == RingKind.Job ? (Op)random.Next(1, 6) : (Op)random.Next(8, 15);
                e.Socket = (uint)random.Next(40);
                e.OpData = e.Op == Op.Socket && random.Next(2) == 0 ? Make.Datagrams(0).OpData : (ulong)random.Next(3);
                e.DataPtr = e.Op == Op.RxCredit ? guest.PoolLayout.RxOffset : e.Op == Op.Send ? PoolLayout.TxOffset : (ulong)random.Next(40);
                e.Size = (uint)random.Next(1, 9);
                e.Flags = (NqeFlags)random.Next(256);
            }

            _ = guest.TryPost(q, ring, [e]);
        }

        guest.Ring(q);
    }
}
