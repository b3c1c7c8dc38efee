using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Producing into a queue set's job and send rings. Several threads and processes may do so, one at a time by the ring's lock; the
/// index in shared memory is the truth, so that a producer killed midway leaves nothing half-published.
/// </summary>
internal static unsafe class Rings
{
    /// <summary>RxCredits that may lie unannounced (docs/wire-format.md, quiet publishing).</summary>
    private const uint QuietCredits = 32;
    private const uint QuietBytes = 128 << 10;

    private static QuietCounts s_quiet; // process-private; approximate is enough

    /// <summary>Enqueues a control request for a socket. False when the region is dead, or another one than the socket's, or this thread holds the lock already.</summary>
    internal static bool Job(SocketSlot* s, Nqe* elements, uint count)
    {
        uint queueSet = s->QueueSet;
        QueueSetHeader* set = Region.QueueSet(queueSet);
        RingHeader* ring = Region.Ring(queueSet, RingKind.Job);
        return Region.Owns(s) && Produce(ref set->JobLock, ring, elements, count) && Wake(queueSet);
    }

    /// <summary>Enqueues data requests of a socket and wakes CoreEngine. False as with <see cref="Job"/>.</summary>
    internal static bool Send(SocketSlot* s, Nqe* elements, uint count)
    {
        uint queueSet = s->QueueSet;
        QueueSetHeader* set = Region.QueueSet(queueSet);
        RingHeader* ring = Region.Ring(queueSet, RingKind.Send);
        return Region.Owns(s) && Produce(ref set->SendLock, ring, elements, count) && Wake(queueSet);
    }

    /// <summary>Enqueues credits; wakes CoreEngine only when many have gathered.</summary>
    internal static bool Credit(SocketSlot* s, Nqe* elements, uint count, uint bytes)
    {
        uint queueSet = s->QueueSet;
        QueueSetHeader* set = Region.QueueSet(queueSet);
        RingHeader* ring = Region.Ring(queueSet, RingKind.Send);
        if (!Region.Owns(s) || !Produce(ref set->SendLock, ring, elements, count))
        {
            return false;
        }

        ulong quiet = s_quiet.Sets[queueSet] += count | ((ulong)bytes << 32);
        return !IsMuch(quiet) || Wake(queueSet);
    }

    /// <summary>Whether so many credits (low half) or so many bytes of them (high half) may not lie unannounced.</summary>
    internal static bool IsMuch(ulong quiet) => (uint)quiet >= QuietCredits || (uint)(quiet >> 32) >= QuietBytes;

    /// <summary>Tells CoreEngine that a queue set has news: its bit in Pending, and the doorbell if the loop sleeps.</summary>
    internal static bool Wake(uint queueSet)
    {
        s_quiet.Sets[queueSet] = 0;
        uint loop = queueSet % Region.Loops;
        LoopBell* bell = Region.Bell(loop);

        // Full fence: the tail must be visible before Pending and Asleep are looked at (pairs with the loop's fence after Asleep = 1).
        Interlocked.MemoryBarrier();
        if (!bell->Pending.Has(queueSet))
        {
            bell->Pending.Share(queueSet);
        }

        if (Volatile.Read(ref bell->Asleep) != 0 && Interlocked.Exchange(ref bell->Asleep, 0) != 0)
        {
            Attaching.RingLoop(loop);
        }

        return true;
    }

    private static bool Produce(ref ulong word, RingHeader* ring, Nqe* elements, uint count)
    {
        if (!Locks.TryEnter(ref word))
        {
            return false;
        }

        uint tail = ring->Tail;
        for (uint done = 0; done < count;)
        {
            // Acquire: pairs with CoreEngine's release of Head.
            uint free = Region.RingSlots - (tail - Volatile.Read(ref ring->Head));
            if (free == 0)
            {
                // Full: CoreEngine is behind. What is written so far must be published, or it waits for us as we for it.
                Volatile.Write(ref ring->Tail, tail);
                LoopBell* bell = Region.Bell(0);
                if (Region.Dead || Region.Header->State != RegionState.Running || Waiting.CheckAlive() == false)
                {
                    Locks.Leave(ref word);
                    return false;
                }

                for (uint loop = 0; loop < Region.Loops; loop++)
                {
                    bell = Region.Bell(loop);
                    for (uint queueSet = loop; queueSet < Region.Layout.Counts.QueueSets; queueSet += Region.Loops)
                    {
                        if (Region.Process(queueSet)->State != ProcessState.Free)
                        {
                            bell->Pending.Share(queueSet);
                        }
                    }

                    if (Interlocked.Exchange(ref bell->Asleep, 0) != 0)
                    {
                        Attaching.RingLoop(loop);
                    }
                }

                _ = Libc.sched_yield();
                continue;
            }

            uint n = count - done < free ? count - done : free;
            for (uint i = 0; i < n; i++)
            {
                *Region.RingSlot(ring, tail++) = elements[done++];
            }
        }

        Volatile.Write(ref ring->Tail, tail); // Release: pairs with CoreEngine's acquire of Tail.
        Locks.Leave(ref word);
        return true;
    }

    /// <summary>What lies unannounced, by queue set (a relay may read from one and write to another): credits in the low half, bytes in the high half.</summary>
    private unsafe struct QuietCounts
    {
        public fixed ulong Sets[(int)ControlLayout.MaxQueueSets];
    }
}
