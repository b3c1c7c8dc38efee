using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.CoreEngine;

namespace NetKernel.Bench;

/// <summary>
/// The real switching loop driven pass by pass by the measuring thread itself, which also plays guest and NSM: what switching costs without any
/// crossing between processes. Measured in the thread's CPU time, so that a busy machine does not count.
/// </summary>
internal sealed unsafe class OneThread
{
    private const uint Connections = 64;
    private readonly SwitchLoop _loop;
    private readonly GuestPort _guest;
    private readonly byte* _region;
    private RingProducer _sends;
    private RingConsumer _done;
    private RingConsumer _seen;
    private RingProducer _dones;
    private RingProducer _jobs;
    private RingConsumer _jobsSeen;
    private readonly LoopBell* _bell;

    public OneThread()
    {
        var header = new CountersHeader { Loops = 1, Guests = SwitchLoop.MaxGuests, Nsms = SwitchLoop.MaxNsms, Connections = ConnectionTable.Capacity };
        var stats = (CountersHeader*)NativeTable.Reserve(header.TotalLength);
        *stats = header;
        _loop = new SwitchLoop(0, stats, Libc.EventFd(0, 0));
        PoolLayout pool = PoolLayout.Default;
        var layout = new ControlLayout(ControlLayout.GuestDefault(pool, 1));
        _region = NativeTable.Reserve(layout.Length);
        int* pipes = (int*)NativeTable.Reserve(4096);
        new Span<int>(pipes, 64).Fill(-1);
        _guest = new GuestPort(1, 0, _region, layout, pool, (GuestCounters*)((byte*)stats + stats->GuestOf(0, 1)), (NsmShare*)((byte*)stats + stats->SharesOf(0, 1)), pipes, Libc.EventFd(0, 0));
        var nsmLayout = new ControlLayout(ControlLayout.NsmDefault(1));
        byte* nsmRegion = NativeTable.Reserve(nsmLayout.Length);
        var nsm = new NsmPort(1, 0, nsmRegion, nsmLayout, (NsmCounters*)((byte*)stats + stats->NsmOf(0, 1)), Libc.EventFd(0, 0), Libc.EventFd(0, 0));
        uint slots = layout.Counts.RingSlots;
        uint nsmSlots = nsmLayout.Counts.RingSlots;
        _jobs = new RingProducer(_region + layout.RingOf(0, RingKind.Job), slots);
        _sends = new RingProducer(_region + layout.RingOf(0, RingKind.Send), slots);
        _done = new RingConsumer(_region + layout.RingOf(0, RingKind.Completion), slots);
        _jobsSeen = new RingConsumer(nsmRegion + nsmLayout.RingOf(0, RingKind.Job), nsmSlots);
        _seen = new RingConsumer(nsmRegion + nsmLayout.RingOf(0, RingKind.Send), nsmSlots);
        _dones = new RingProducer(nsmRegion + nsmLayout.RingOf(0, RingKind.Completion), nsmSlots);
        _bell = (LoopBell*)(_region + ControlLayout.LoopBellOf(0));
        _loop.AddNsm(nsm);
        _loop.AddGuest(_guest);
        _loop.Route(_guest, 1, 0);
        _bell->Pending = ProcessMask.Of(0);
        Nqe* seen = stackalloc Nqe[2];
        for (uint socket = 0; socket < Connections; socket++)
        {
            Nqe request = new() { Op = Op.Socket, Socket = socket, OpData = 2 };
            _ = _jobs.TryEnqueue(&request);
            request = new() { Op = Op.Connect, Socket = socket };
            _ = _jobs.TryEnqueue(&request);
            _ = _loop.Pass();
            _ = _jobsSeen.Dequeue(seen, 2);
            Nqe done = new() { Op = Op.ConnectDone, Socket = seen[1].Socket };
            _ = _dones.TryEnqueue(&done);
            _ = _loop.Pass();
            _ = _done.Dequeue(seen, 2);
        }
    }

    /// <summary>Switched NQEs per second of CPU, in millions. Guest's and NSM's work is part of it.</summary>
    public double Measure(uint batch, int milliseconds)
    {
        Nqe* elements = stackalloc Nqe[256];
        Nqe* back = stackalloc Nqe[256];
        for (uint i = 0; i < batch; i++)
        {
            elements[i] = new Nqe { Op = Op.Send, Socket = i % Connections, DataPtr = PoolLayout.TxOffset, Size = 64 };
        }

        ulong inLoop = 0;
        ulong switched = 0;
        ulong end = ThreadTime() + ((ulong)milliseconds * 1_000_000);
        while (true)
        {
            const int Turns = 64;
            ulong start = ThreadTime();
            for (int turn = 0; turn < Turns; turn++)
            {
                _ = _sends.Enqueue(elements, batch);
                for (uint n = 0; n < batch; n += 64)
                {
                    _ = _loop.Pass();
                }

                uint seen = _seen.Dequeue(back, batch);
                for (uint i = 0; i < seen; i++)
                {
                    back[i].Op = Op.SendDone;
                }

                _ = _dones.Enqueue(back, seen);
                _ = _loop.Pass();
                switched += seen + _done.Dequeue(back, batch);
            }

            ulong now = ThreadTime();
            inLoop += now - start;
            if (now >= end)
            {
                return switched / (inLoop / 1e9) / 1e6;
            }
        }
    }

    private static ulong ThreadTime()
    {
        long* time = stackalloc long[2];
        _ = ClockGetTime(3, time); // CLOCK_THREAD_CPUTIME_ID
        return (ulong)((time[0] * 1_000_000_000) + time[1]);
    }

    [DllImport("libc", EntryPoint = "clock_gettime")]
    private static extern int ClockGetTime(int clock, long* time);
}
