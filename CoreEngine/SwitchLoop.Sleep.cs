using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>Which regions are polled, and how the loop sleeps and is woken.</summary>
internal sealed unsafe partial class SwitchLoop
{
    private const ulong GuestTag = 1ul << 32;
    private const ulong NsmTag = 2ul << 32;
    private const ulong BellTag = 3ul << 32;
    private const int StalledMs = 1; // an NSM does not ring when it makes room
    private const int LazyMs = 5; // neither does a guest
    private const int LazierMs = 200;
    private const uint LazyTicks = 100;

    private void Watch(int fd, ulong tag)
    {
        // Edge-triggered: every write to an eventfd is an event, and nobody need read it.
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN | Libc.EPOLLET, Data = tag };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, fd, &e);
    }

    private void Unwatch(int fd) => _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_DEL, fd, null);

    private void Activate(GuestPort guest)
    {
        guest.IdlePasses = 0;
        if (!guest.Active)
        {
            guest.Active = true;
            Volatile.Write(ref guest.Bell->Asleep, 0u);
            guest.Header->Heartbeat = _now;
            _active[_activeCount++] = guest;
        }
    }

    private void Activate(NsmPort nsm)
    {
        nsm.IdlePasses = 0;
        if (!nsm.Active)
        {
            nsm.Active = true;
            Volatile.Write(ref nsm.Bell->Asleep, 0u);
            _activeNsms[_activeNsmCount++] = nsm;
        }
    }

    /// <summary>Puts the regions that have rung on the active list; true when there were any.</summary>
    private bool Poll(int timeoutMs)
    {
        int n = timeoutMs == 0 ? Libc.EpollPollFast(_epoll, _events, MaxEvents, 0) : Libc.EpollWait(_epoll, _events, MaxEvents, timeoutMs);
        for (int i = 0; i < n; i++)
        {
            ulong tag = _events[i].Data;
            uint id = (uint)tag;
            if ((tag & GuestTag) != 0 && (tag & NsmTag) == 0)
            {
                if (_guests[id] is { Dead: false } guest)
                {
                    _idle.Beside = timeoutMs != 0 && Volatile.Read(ref guest.Bell->RungOn) == Libc.CpuPlusOne();
                    Activate(guest);
                }
            }
            else if ((tag & NsmTag) != 0 && (tag & GuestTag) == 0 && _nsms[id] is { Broken: false } nsm)
            {
                _idle.Beside = timeoutMs != 0 && Volatile.Read(ref nsm.Bell->RungOn) == Libc.CpuPlusOne();
                Activate(nsm);
            }
            else if (tag == ModuleTag)
            {
                _moduleFds = true;
            }
        }

        // While busy, regions that have been quiet for long leave the list, so that a pass costs what the active ones cost.
        if (timeoutMs == 0)
        {
            Retire(all: false);
        }

        return n > 0;
    }

    /// <summary>Announces sleep to every region, looks once more, and sleeps.</summary>
    private void Sleep()
    {
        if (!Retire(all: true))
        {
            return;
        }

        if (Volatile.Read(ref _command) != null)
        {
            return;
        }

        Tick();
        int timeout = _stalled || _module is { NeedsTurn: true } ? StalledMs : LazyTimeout();
        if (_throttleMs != 0 && (uint)timeout > (uint)_throttleMs)
        {
            timeout = _throttleMs; // sooner than for ever (-1), too
        }

        _ = Poll(timeout);
        Tick();
        if (_lazyWork != 0)
        {
            WakeLazy();
        }
    }

    /// <summary>
    /// Lets quiet regions (or, before sleeping, all) go off the list: Asleep = 1, fence, one more look. False when one of them has work.
    /// </summary>
    private bool Retire(bool all)
    {
        bool quiet = true;
        int kept = 0;
        for (int i = 0; i < _activeCount; i++)
        {
            GuestPort guest = _active[i];
            if (!guest.Paced.IsEmpty && !guest.Dead && _throttleMs != 0)
            {
                _active[kept++] = guest; // a timer looks after it, and it need not ring
                continue;
            }

            if (guest.Dead || ((all || guest.IdlePasses > CoolAfter) && Retire(guest)))
            {
                guest.Active = false;
                continue;
            }

            // Work that waits for room in an NSM's ring, or for tokens, is no reason to stay awake: a timer looks after it.
            quiet &= _stalled || (guest.Throttled && _throttleMs != 0);
            if (all && guest.Throttled)
            {
                Volatile.Write(ref guest.Bell->Asleep, 1u); // it stays on the list, and rings for what is new
            }

            _active[kept++] = guest;
        }

        _activeCount = kept;
        kept = 0;
        for (int i = 0; i < _activeNsmCount; i++)
        {
            NsmPort nsm = _activeNsms[i];
            if (!nsm.Broken && IsModule(nsm))
            {
                quiet &= nsm.CloseHead == 0 && nsm.Completion.Refresh() + nsm.Receive.Refresh() == 0;
                _activeNsms[kept++] = nsm;
                continue;
            }

            if (nsm.Broken || ((all || nsm.IdlePasses > CoolAfter) && Retire(nsm)))
            {
                nsm.Active = false;
                continue;
            }

            quiet &= nsm.CloseHead != 0 && _stalled;
            _activeNsms[kept++] = nsm;
        }

        _activeNsmCount = kept;
        return quiet;
    }

    private bool Retire(GuestPort guest)
    {
        for (uint q = guest.Hot.Next(0); q != ProcessMask.None; q = guest.Hot.Next(q + 1))
        {
            _ = Cool(guest, q, guest.Sets + q);
        }

        if (guest.Reaping >= 0 || guest.UnheldCount != 0 || !guest.ReapWanted.IsEmpty || guest.Replaying)
        {
            _stalled = true;
            return false;
        }

        if (guest.Held is { Count: not 0 })
        {
            return false;
        }

        Volatile.Write(ref guest.Bell->Asleep, 1u);
        Interlocked.MemoryBarrier();
        Heat(guest);
        if (!guest.Hot.IsEmpty)
        {
            Volatile.Write(ref guest.Bell->Asleep, 0u);
            return false;
        }

        return true;
    }

    private static bool Retire(NsmPort nsm)
    {
        _ = Interlocked.Exchange(ref nsm.Bell->Pending.Word(0), 0ul); // an NSM has few queue sets
        Volatile.Write(ref nsm.Bell->Asleep, 1u);
        Interlocked.MemoryBarrier();
        if (nsm.Completion.Refresh() != 0 || nsm.Receive.Refresh() != 0 || nsm.CloseHead != 0)
        {
            Volatile.Write(ref nsm.Bell->Asleep, 0u);
            return false;
        }

        return true;
    }

    /// <summary>How long to sleep at most: for ever, unless something waits that no doorbell will announce.</summary>
    private int LazyTimeout()
    {
        _lazyWork = 0;
        if (_parkedGuests + _deferredGuests == 0)
        {
            _lazyTicks = 0;
            return -1;
        }

        _lazyWork = 1;
        if (_lazyTicks < LazyTicks)
        {
            _lazyTicks++;
            return LazyMs;
        }

        if (_parkedGuests == 0)
        {
            _lazyWork = 0; // slots that are not freed yet can wait for the guest's next sign of life
            return -1;
        }

        return LazierMs;
    }

    private void WakeLazy()
    {
        for (uint id = 0; id < MaxGuests; id++)
        {
            if (_guests[id] is { Dead: false } guest && !guest.Active && !(guest.Parked.IsEmpty && guest.Deferred.IsEmpty))
            {
                if (!guest.Parked.IsEmpty)
                {
                    if (FlushParked(guest))
                    {
                        _lazyTicks = 0;
                    }
                }

                if (!guest.Deferred.IsEmpty)
                {
                    FreeDeferred(guest);
                }
            }
        }
    }
}
