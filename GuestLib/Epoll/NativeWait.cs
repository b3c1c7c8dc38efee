namespace NetKernel.GuestLib;

/// <content>
/// Waits on sets that have nothing of ours sleep in the kernel, as without this library. When such a set gets its first socket of ours, those who wait are
/// fetched out of there: an eventfd that is readable joins the kernel's set until the last of them has seen it.
/// </content>
internal static unsafe partial class Epoll
{
    /// <summary>The data of that eventfd. No pointer and no fd looks like that.</summary>
    private const ulong Kick = 0xB16B_4E4B_6B69_636B;

    /// <summary>epoll_pwait(2) or epoll_pwait2(2) in the kernel. <paramref name="fetched"/>: the set has sockets of ours now, wait again.</summary>
    internal static int WaitNatively(int epoll, EpollEvent* events, int most, int milliseconds, TimeSpec* time, bool isTime, void* signals, out bool fetched)
    {
        fetched = false;
        Set* set = SetOf(epoll);
        if (set == null || Libc.IsSingleThreaded || most <= 0)
        {
            return Call(epoll, events, most, milliseconds, time, isTime, signals);
        }

        Guard guard = default;
        guard.NativeSet = Fds.IdOf(epoll) + 1;
        Guard.Push(&guard);
        Interlocked.Increment(ref set->NativeWaiters); // full fence: pairs with the lock that the first item is added under
        int n = 0;
        fetched = (set->Items | set->SharedPlusOne) != 0 && Region.Attached && events != null;
        if (!fetched)
        {
            n = Call(epoll, events, most, milliseconds, time, isTime, signals);
        }

        Guard.Pop(&guard);
        int errno = Libc.Errno;
        int left = WithoutKick(set, events, n);
        fetched |= left == 0 && n > 0;
        LeftNatively(guard.NativeSet);
        Libc.Errno = errno;
        return left;
    }

    private static int Call(int epoll, EpollEvent* events, int most, int milliseconds, TimeSpec* time, bool isTime, void* signals) =>
        isTime ? Real.epoll_pwait2(epoll, events, most, time, signals) : Real.epoll_pwait(epoll, events, most, milliseconds, signals);

    /// <summary>A thread waits in the kernel no more.</summary>
    internal static void LeftNatively(uint index)
    {
        Set* set = &s_sets[index - 1];
        if (Interlocked.Decrement(ref set->NativeWaiters) > 0 || set->KickFdPlusOne == 0 || !Enter())
        {
            return;
        }

        if (set->NativeWaiters == 0 && set->KickFdPlusOne != 0)
        {
            EpollEvent none = default;
            _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_DEL, set->KickFdPlusOne - 1, &none);
            Fds.CloseHidden(set->KickFdPlusOne - 1);
            set->KickFdPlusOne = 0;
        }

        Leave();
    }

    /// <summary>A set has got its first item: who waits for it, or for a set that it is in, wakes in the kernel no more.</summary>
    private static void FetchNativeWaiters(uint index)
    {
        Set* set = &s_sets[index - 1];
        if (Volatile.Read(ref set->NativeWaiters) > 0 && set->KickFdPlusOne == 0)
        {
            EpollEvent kick = new() { Events = Abi.EPOLLIN, Data = Kick };
            set->KickFdPlusOne = Fds.HiddenEvent(1) + 1;
            _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, set->KickFdPlusOne - 1, &kick);
        }

        for (uint at = set->FirstParent; at != 0; at = s_items[at - 1].NextOfTarget)
        {
            FetchNativeWaiters(s_items[at - 1].Set);
        }
    }

    private static int WithoutKick(Set* set, EpollEvent* events, int count)
    {
        if (set->KickFdPlusOne == 0)
        {
            return count;
        }

        int kept = 0;
        for (int i = 0; i < count; i++)
        {
            if (events[i].Data != Kick)
            {
                events[kept++] = events[i];
            }
        }

        return count < 0 ? count : kept;
    }
}
