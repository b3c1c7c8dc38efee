using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Locks. Those in shared memory carry their holder's process slot in bits 48-63, so that CoreEngine releases them when that process dies.
/// A lock that its own thread holds already (a signal handler came in between) is not waited for: <see cref="TryEnter"/> fails, and the
/// call answers EAGAIN rather than hang.
/// </summary>
internal static unsafe class Locks
{
    private const int Spins = 64;

    /// <summary>Yields before a nap.</summary>
    private const int Patience = 256;

    /// <summary>Who this thread is in a lock word.</summary>
    internal static ulong Self => ((ulong)(Region.Slot + 1) << 48) | ((ulong)Libc.pthread_self() & 0xFFFF_FFFF_FFFF);

    /// <summary>Takes the lock, waiting while others hold it. False when this very thread holds it, or the region died meanwhile.</summary>
    internal static bool TryEnter(ref ulong word)
    {
        ulong self = Self;
        ulong seen = Interlocked.CompareExchange(ref word, self, 0);
        return seen == 0 || Contended(ref word, self, seen);
    }

    /// <summary>Takes the lock if nobody holds it.</summary>
    internal static bool TryEnterNow(ref ulong word) => Volatile.Read(ref word) == 0 && Interlocked.CompareExchange(ref word, Self, 0) == 0;

    /// <summary>Takes a lock in private memory, waiting while others hold it. False when this very thread holds it.</summary>
    internal static bool TryEnterPrivate(ref ulong word)
    {
        ulong self = Libc.pthread_self();
        ulong seen;
        int turn = 0;
        while ((seen = Interlocked.CompareExchange(ref word, self, 0)) != 0)
        {
            if (seen == self)
            {
                return false;
            }

            Yield(ref turn);
        }

        return true;
    }

    /// <summary>Lets the holder run. A thread of real-time priority would keep it from running by yielding alone.</summary>
    private static void Yield(ref int turn)
    {
        if (++turn % Patience != 0)
        {
            _ = Libc.sched_yield();
            return;
        }

        Raw.Nap(50_000);
    }

    /// <summary>Gives a lock in private memory back if this thread holds it: its holder is gone by a jump or by cancellation.</summary>
    internal static void AbandonPrivate(ref ulong word)
    {
        if (Volatile.Read(ref word) == Libc.pthread_self())
        {
            Leave(ref word);
        }
    }

    /// <summary>Gives the lock back.</summary>
    internal static void Leave(ref ulong word) => Volatile.Write(ref word, 0); // Release: pairs with the exchange of the next holder.

    private static bool Contended(ref ulong word, ulong self, ulong seen)
    {
        int turn = 0;
        while (true)
        {
            if (seen == self)
            {
                return false;
            }

            if (++turn >= Spins)
            {
                if (Region.Dead || Region.Header->State != RegionState.Running)
                {
                    return false;
                }

                Yield(ref turn);
            }

            if (Volatile.Read(ref word) == 0 && (seen = Interlocked.CompareExchange(ref word, self, 0)) == 0)
            {
                return true;
            }
        }
    }
}
