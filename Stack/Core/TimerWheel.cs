using System.Numerics;
using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// A hierarchical timing wheel (Varghese and Lauck, scheme 7): five levels of 64 buckets, ticks of 128 microseconds. Arming, moving and cancelling are
/// constant time. A timer that is moved to a later time stays where it is, and is put right when its bucket comes up:
/// retransmission timers, which move with every acknowledgement, cost one store.
/// </summary>
public sealed unsafe class TimerWheel : IDisposable
{
    private const int TickShift = 7, LevelShift = 6, Levels = 5, Slots = 1 << LevelShift;
    private const long Horizon = (1L << (LevelShift * Levels)) - 1;

    private readonly ITimerSink _sink;
    private readonly Timer* _heads;
    private readonly ulong[] _used = new ulong[Levels];
    private long _tick;

    /// <summary>An empty wheel that starts at that time.</summary>
    public TimerWheel(ITimerSink sink, long now)
    {
        _sink = sink;
        _tick = now >> TickShift;
        _heads = (Timer*)NativeMemory.AllocZeroed(Levels * Slots, (nuint)sizeof(Timer));
        for (int i = 0; i < Levels * Slots; i++)
        {
            _heads[i].Next = _heads[i].Previous = &_heads[i];
        }
    }

    /// <summary>Timers that are armed.</summary>
    public uint Count { get; private set; }

    /// <summary>Arms or moves a timer. It fires with the first <see cref="Advance"/> to that time or later, at most a tick late.</summary>
    public void Set(Timer* timer, long deadline)
    {
        timer->Deadline = deadline;
        long tick = TickOf(deadline);
        if (timer->IsArmed)
        {
            if (tick >= timer->Tick)
            {
                return;
            }

            Unlink(timer);
        }

        Link(timer, tick);
    }

    /// <summary>Disarms a timer.</summary>
    public void Cancel(Timer* timer)
    {
        if (timer->IsArmed)
        {
            Unlink(timer);
        }
    }

    /// <summary>Fires everything that is due.</summary>
    public void Advance(long now)
    {
        long target = now >> TickShift;
        while (_tick < target)
        {
            if (Count == 0)
            {
                _tick = target;
                return;
            }

            // Skip what is empty: to the next used bucket of the lowest level, or to the next cascade.
            long next = (_tick | (Slots - 1)) + 1;
            ulong ahead = (_tick & (Slots - 1)) == Slots - 1 ? 0 : _used[0] >> (int)((_tick & (Slots - 1)) + 1);
            if (ahead != 0)
            {
                next = _tick + 1 + BitOperations.TrailingZeroCount(ahead);
            }

            if (next > target)
            {
                _tick = target;
                return;
            }

            _tick = next;
            if ((_tick & (Slots - 1)) == 0)
            {
                Cascade();
            }

            Expire((int)(_tick & (Slots - 1)));
        }
    }

    /// <summary>No timer is due before that time (microseconds); <see cref="long.MaxValue"/>: none is armed.</summary>
    public long NextDeadline()
    {
        if (Count == 0)
        {
            return long.MaxValue;
        }

        // Of every level the next bucket in use: a higher one may be emptied (and its timers put lower) before a lower one is due.
        long next = long.MaxValue;
        for (int level = 0; level < Levels; level++)
        {
            if (_used[level] == 0)
            {
                continue;
            }

            int shift = LevelShift * level;
            long at = (_tick >> shift) + 1;
            long tick = (at + BitOperations.TrailingZeroCount(BitOperations.RotateRight(_used[level], (int)(at & (Slots - 1))))) << shift;
            next = tick < next ? tick : next;
        }

        return next << TickShift;
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_heads);

    private static long TickOf(long deadline) => (deadline + (1 << TickShift) - 1) >> TickShift;

    private void Link(Timer* timer, long tick)
    {
        long delta = tick - _tick;
        if (delta <= 0)
        {
            tick = _tick + 1; // Already due: the next tick's affair.
            delta = 1;
        }
        else if (delta > Horizon)
        {
            tick = _tick + Horizon; // Put right when it comes up.
            delta = Horizon;
        }

        int level = delta < Slots ? 0 : (63 - BitOperations.LeadingZeroCount((ulong)delta)) / LevelShift;
        int slot = (int)((tick >> (LevelShift * level)) & (Slots - 1));
        Timer* head = &_heads[(level * Slots) + slot];
        timer->Tick = tick;
        timer->Next = head;
        timer->Previous = head->Previous;
        head->Previous->Next = timer;
        head->Previous = timer;
        _used[level] |= 1ul << slot;
        Count++;
    }

    private void Unlink(Timer* timer)
    {
        Timer* next = timer->Next;
        timer->Previous->Next = next;
        next->Previous = timer->Previous;
        if (next->Next == next)
        {
            // The bucket is empty now: its head is next.
            int index = (int)(next - _heads);
            if ((uint)index < Levels * Slots)
            {
                _used[index / Slots] &= ~(1ul << (index % Slots));
            }
        }

        timer->Next = timer->Previous = null;
        Count--;
    }

    private void Cascade()
    {
        for (int level = 1; level < Levels; level++)
        {
            int slot = (int)((_tick >> (LevelShift * level)) & (Slots - 1));
            Timer* head = &_heads[(level * Slots) + slot];
            while (head->Next != head)
            {
                Timer* timer = head->Next;
                Unlink(timer);
                Link(timer, TickOf(timer->Deadline) > _tick ? TickOf(timer->Deadline) : _tick);
                if (timer->Tick == _tick + 1 && TickOf(timer->Deadline) <= _tick)
                {
                    // Due in this very tick: into its bucket, which expires next.
                    Unlink(timer);
                    LinkNow(timer);
                }
            }

            if (slot != 0)
            {
                break;
            }
        }
    }

    private void LinkNow(Timer* timer)
    {
        int slot = (int)(_tick & (Slots - 1));
        Timer* head = &_heads[slot];
        timer->Tick = _tick;
        timer->Next = head;
        timer->Previous = head->Previous;
        head->Previous->Next = timer;
        head->Previous = timer;
        _used[0] |= 1ul << slot;
        Count++;
    }

    private void Expire(int slot)
    {
        Timer* head = &_heads[slot];
        while (head->Next != head)
        {
            Timer* timer = head->Next;
            Unlink(timer);
            long tick = TickOf(timer->Deadline);
            if (tick > _tick)
            {
                Link(timer, tick);
            }
            else
            {
                _sink.Fired(timer);
            }
        }
    }
}
