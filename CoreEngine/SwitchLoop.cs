using System.Diagnostics;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// One switching loop: it owns its queue sets, its connection table and its counter rows; nobody else touches them, and it takes no
/// lock. The control thread hands it commands one at a time (<see cref="Command"/>).
/// </summary>
internal sealed unsafe partial class SwitchLoop : IDisposable
{
    /// <summary>Guest ids are below this.</summary>
    public const uint MaxGuests = 1024;

    /// <summary>NSM ids are below this.</summary>
    public const uint MaxNsms = 64;

    private const uint Batch = 64; // NQEs taken from one ring in one pass
    private const uint CoolAfter = 32; // passes without news until a queue set or region is polled no more
    private const uint PollEvery = 32; // passes between two looks for newly active regions while busy
    private const int Yields = 20;
    private const int MaxEvents = 64;

    private readonly uint _index;
    private readonly GuestPort?[] _guests = new GuestPort?[MaxGuests];
    private readonly NsmPort?[] _nsms = new NsmPort?[MaxNsms];
    private readonly GuestPort[] _active = new GuestPort[MaxGuests];
    private readonly GuestPort[] _touched = new GuestPort[MaxGuests];
    private readonly NsmPort[] _activeNsms = new NsmPort[MaxNsms];
    private readonly ConnectionTable _table;
    private readonly Nqe* _batch;
    private readonly Libc.EpollEvent* _events;
    private readonly int _epoll;
    private readonly int _reports;
    private readonly CountersHeader* _stats;
    private int _activeCount;
    private int _touchedCount;
    private int _activeNsmCount;
    private uint _passes;
    private ulong _now;
    private bool _stalled; // something waits for room in an NSM's ring
    private uint _lazyTicks; // sleeps since something last waited that nobody rings for
    private ulong _lazyWork; // guests with parked NQEs or deferred slots, at the last look
    private IdleStrategy _idle = new(0, Yields);

    /// <summary>Makes a loop; <paramref name="reports"/> is the eventfd by which it calls the control thread.</summary>
    public SwitchLoop(uint index, CountersHeader* stats, int reports)
    {
        _index = index;
        _stats = stats;
        _reports = reports;
        _table = new ConnectionTable((ConnectionRow*)((byte*)stats + stats->ConnectionOf(index, 0)));
        _batch = (Nqe*)NativeTable.Reserve(Batch * Nqe.Length);
        _events = (Libc.EpollEvent*)NativeTable.Reserve(4096);
        _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        _bell = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        Watch(_bell, BellTag);
        Tick();
    }

    /// <summary>Which loop this is.</summary>
    public uint Index => _index;

    /// <summary>Passes so far: tests look whether an idle loop stands still.</summary>
    public uint Passes => Volatile.Read(ref _passes);

    /// <summary>Runs until a command ends it. The thread's body.</summary>
    public void Run()
    {
        _ = Scheduling.TakeShortSlices();
        _stats->LoopThreads[_index] = (uint)Libc.Syscall(186 /* gettid */, 0, 0, 0, 0, 0, 0);
        while (!_stop)
        {
            if (Pass())
            {
                _idle.Reset();
                continue;
            }

            switch (_idle.Next(Stopwatch.GetTimestamp()))
            {
                case IdleAction.Spin:
                    Thread.SpinWait(1);
                    break;
                case IdleAction.Yield:
                    _ = Libc.Yield();
                    break;
                default:
                    Sleep();
                    _idle.Woke(Stopwatch.GetTimestamp());
                    break;
            }
        }
    }

    /// <summary>Looks at everything active once; true when there was work.</summary>
    public bool Pass()
    {
        bool worked = TakeCommand();
        if ((++_passes & (PollEvery - 1)) == 0)
        {
            worked |= Poll(0);
            Tick();
        }

        _stalled = false;
        _throttleMs = 0;
        for (int i = 0; i < _activeNsmCount; i++)
        {
            NsmPort nsm = _activeNsms[i];
            bool moved = FlushCloses(nsm) | DrainNsm(nsm);
            worked |= moved;
            nsm.IdlePasses = moved ? 0 : nsm.IdlePasses + 1;
        }

        // The list is walked from a place that moves on, so that a full NSM ring is not always the same guest's misfortune.
        int count = _activeCount;
        int at = count == 0 ? 0 : (int)(_passes % (uint)count);
        for (int i = 0; i < count; i++)
        {
            GuestPort guest = _active[at];
            bool moved = DrainGuest(guest);
            worked |= moved;
            guest.IdlePasses = moved ? 0 : guest.IdlePasses + 1;
            at = at + 1 == count ? 0 : at + 1;
        }

        worked |= TurnModule();
        Flush();
        return worked;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _ = Libc.Close(_epoll);
        _ = Libc.Close(_bell);
        _table.Dispose();
        NativeTable.Release(_batch, Batch * Nqe.Length);
        NativeTable.Release(_events, 4096);
    }

    /// <summary>Takes what one guest has published, and moves what was parked for it.</summary>
    private bool DrainGuest(GuestPort guest)
    {
        if (guest.Dead)
        {
            return false;
        }

        bool moved = false;
        if (guest.IsLimited)
        {
            moved = BeginLimited(guest);
        }
        else if (guest.Held is { Count: not 0 })
        {
            moved = EndLimited(guest);
        }

        if (!guest.Paced.IsEmpty)
        {
            BeginPaced(guest);
        }

        Heat(guest);
        BeginTurn(guest);
        uint first = guest.FirstSet;
        bool around = false;
        int looks = LooksPerTurn;
        for (uint q = NextHot(guest, first, first, ref around); q != ProcessMask.None && guest.Budget > 0 && looks > 0; q = NextHot(guest, q + 1, first, ref around))
        {
            if (guest.Paced.Has(q))
            {
                continue;
            }

            looks--;
            QueueSetPort* set = guest.Sets + q;
            guest.FirstSet = q + 1;

            // The send ring's tail is read before the job ring is emptied, so that what the guest put into the job ring first is handled first.
            _ = set->Send.Refresh();
            uint taken = DrainJobRing(guest, q, set);
            taken += set->Job.Available() == 0 ? DrainSendRing(guest, q, set) : 0;
            if (guest.Dead)
            {
                return true;
            }

            if (taken != 0)
            {
                set->IdlePasses = 0;
                moved = true;
            }
            else if (++set->IdlePasses > CoolAfter)
            {
                _ = Cool(guest, q, set);
            }
        }

        if (!guest.Parked.IsEmpty)
        {
            moved |= FlushParked(guest);
        }

        if (!guest.Deferred.IsEmpty)
        {
            FreeDeferred(guest);
        }

        if (guest.Replaying)
        {
            moved |= Replay(guest);
        }

        if (guest.Reaping >= 0 || guest.UnheldCount != 0 || !guest.ReapWanted.IsEmpty)
        {
            moved |= Reap(guest);
        }

        if (moved && guest.Own.LastBusy != _now)
        {
            guest.Own.LastBusy = _now; // once a tick: all loops read it
        }

        EndPaced(guest);
        return moved;
    }

    /// <summary>The next polled queue set from a place on, once around from <paramref name="first"/>; none when it is through.</summary>
    private static uint NextHot(GuestPort guest, uint from, uint first, ref bool around)
    {
        uint q = guest.Hot.Next(from);
        if (q == ProcessMask.None && !around)
        {
            around = true;
            q = guest.Hot.Next(0);
        }

        return around && q >= first ? ProcessMask.None : q;
    }

    /// <summary>Polls the queue sets that the guest has rung for.</summary>
    private static void Heat(GuestPort guest)
    {
        for (uint word = 0; word < ProcessMask.Words; word++)
        {
            ulong fresh = Volatile.Read(ref guest.Bell->Pending.Word(word)) & guest.Mine.Word(word) & ~guest.Hot.Word(word);
            if (fresh != 0)
            {
                guest.Hot.Word(word) |= fresh;
                guest.Used.Word(word) |= fresh;
            }
        }
    }

    /// <summary>Stops polling a queue set, unless something has come in; true when it is polled no more.</summary>
    private static bool Cool(GuestPort guest, uint q, QueueSetPort* set)
    {
        set->IdlePasses = 0;
        _ = guest.Bell->Pending.Unshare(q); // Full fence: what was published under the old bit is seen below.
        if (set->Job.Refresh() != 0 || set->Send.Refresh() != 0 || set->Job.IsBroken || set->Send.IsBroken)
        {
            return false;
        }

        guest.Hot.Clear(q);
        return true;
    }

    private void Tick()
    {
        // Stopwatch counts nanoseconds on Linux.
        _now = (ulong)Stopwatch.GetTimestamp();
        if (_index == 0)
        {
            Volatile.Write(ref _stats->Heartbeat, _now);
        }

        for (int i = 0; i < _activeCount; i++)
        {
            _active[i].Header->Heartbeat = _now;
        }
    }
}
