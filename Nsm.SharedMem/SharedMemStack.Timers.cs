using System.Diagnostics;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>The few things that take time: a connect while the backlog is full, a connection that TCP_DEFER_ACCEPT keeps back, a close whose peer does not read, TCP_USER_TIMEOUT, and the counts of the direct form. A timerfd in the host's epoll set ticks while there are any.</content>
public sealed unsafe partial class SharedMemStack
{
    private const long Second = 1_000_000_000;

    /// <summary>Often enough that no ring's index, which has 32 bits, goes once around in between: 17 GB/s.</summary>
    private const long Tick = Second / 4;

    /// <summary>As the kernel NSM's.</summary>
    private const long CloseTime = 60 * Second;

    private const ulong TimerToken = 1;

    private SharedSocket* _firstTimed;
    private int _timer = -1;
    private bool _ticking;

    /// <inheritdoc/>
    public void Ready(ulong data, uint events)
    {
        ulong ticks;
        _ = Libc.ReadFast(_timer, &ticks, sizeof(ulong));
        LookAtDirect();
        long now = Stopwatch.GetTimestamp();
        SharedSocket* next;
        for (SharedSocket* s = _firstTimed; s != null; s = next)
        {
            next = s->NextTimed;
            if (now < s->Deadline)
            {
                continue;
            }

            if (s->Phase == Phase.Waiting)
            {
                GiveUp(s, Libc.ETIMEDOUT);
            }
            else if (IsDeferred(s))
            {
                Release(s->Embryo);
            }
            else if (s->Has(SharedFlags.Stalled))
            {
                TimeOut(s);
            }
            else
            {
                ClearTime(s);
                s->Set(SharedFlags.Abort);
                _host.Schedule(s->Self);
            }
        }
    }

    private void StartTimer()
    {
        const nint TimerFdCreate = 283, ClockMonotonic = 1, Flags = 0x80800; // TFD_NONBLOCK | TFD_CLOEXEC
        _timer = (int)Libc.Syscall(TimerFdCreate, ClockMonotonic, Flags, 0, 0, 0, 0);
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN, Data = TimerToken };
        _ = Libc.EpollControl(_host.Epoll, Libc.EPOLL_CTL_ADD, _timer, &e);
    }

    /// <summary>The timer ticks while there is anything that it is for.</summary>
    private void ArmTimer()
    {
        bool wanted = _firstTimed != null || _firstDirect != null;
        if (wanted != _ticking)
        {
            _ticking = wanted;
            Arm(wanted ? Tick : 0);
        }
    }

    private void Arm(long nanoseconds)
    {
        const nint TimerFdSetTime = 286;
        long* time = stackalloc long[4]; // struct itimerspec: interval, first
        time[0] = time[2] = 0;
        time[1] = time[3] = nanoseconds;
        _ = Libc.Syscall(TimerFdSetTime, _timer, 0, (nint)time, 0, 0, 0);
    }

    private void SetTime(SharedSocket* s, long time)
    {
        if (s->Has(SharedFlags.Timed))
        {
            return;
        }

        s->Set(SharedFlags.Timed);
        s->Deadline = Stopwatch.GetTimestamp() + time; // nanoseconds on Linux
        s->PreviousTimed = null;
        s->NextTimed = _firstTimed;
        if (_firstTimed != null)
        {
            _firstTimed->PreviousTimed = s;
        }

        _firstTimed = s;
        ArmTimer();
    }

    private void ClearTime(SharedSocket* s)
    {
        if (!s->Has(SharedFlags.Timed))
        {
            return;
        }

        s->Clear(SharedFlags.Timed);
        if (s->PreviousTimed != null)
        {
            s->PreviousTimed->NextTimed = s->NextTimed;
        }
        else
        {
            _firstTimed = s->NextTimed;
        }

        if (s->NextTimed != null)
        {
            s->NextTimed->PreviousTimed = s->PreviousTimed;
        }

        ArmTimer();
    }
}
