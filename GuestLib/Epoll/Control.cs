using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>epoll_ctl(2).</content>
internal static unsafe partial class Epoll
{
    private const int ENOENT = 2, EEXIST = 17;

    /// <summary>What EPOLLEXCLUSIVE goes together with (epoll_ctl(2)).</summary>
    private const uint ExclusiveBits = Abi.EPOLLIN | Abi.EPOLLOUT | Abi.EPOLLERR | Abi.EPOLLHUP | Abi.EPOLLWAKEUP | Abi.EPOLLET | Abi.EPOLLEXCLUSIVE;

    internal static int Control(int epoll, int operation, int fd, EpollEvent* e)
    {
        switch (Fds.KindOf(fd))
        {
            case FdKind.Hidden:
                return Libc.Fail(Abi.EBADF);
            case FdKind.Epoll:
                return ControlSet(epoll, operation, fd, e);
            case FdKind.Native:
            case FdKind.Socket when Fds.Ours(fd) == null:
                return ControlNative(epoll, operation, fd, e);
            default:
                break;
        }

        if (operation != Abi.EPOLL_CTL_DEL && !UserMemory.CanRead(e, (nuint)sizeof(EpollEvent)))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        if (SetOf(epoll) == null && !Adopt(epoll, fd))
        {
            return -1;
        }

        Use(SetOf(epoll));

        if (!Enter())
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        WakeList wakes = default;
        ProcessMask sleepers = default;
        Set* set = SetOf(epoll);
        bool isShared = BeginChange(set, &wakes);
        int error = Change(Fds.IdOf(epoll) + 1, operation, fd, e, isShared, &wakes, out bool isReady);
        if (isShared)
        {
            EndChange(set, isReady, ref sleepers);
        }

        Leave();
        wakes.Ring();
        Nudge(sleepers);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    private static int ControlNative(int epoll, int operation, int fd, EpollEvent* e)
    {
        int result = Real.epoll_ctl(epoll, operation, fd, e);
        Set* set = SetOf(epoll);
        if (result == 0 && set != null)
        {
            set->Natives += operation == Abi.EPOLL_CTL_ADD ? 1 : operation == Abi.EPOLL_CTL_DEL && set->Natives > 0 ? -1 : 0;
        }

        return result;
    }

    /// <summary>A set within a set: the kernel has both, checks for circles and depth, and watches the native fds of the inner one.</summary>
    private static int ControlSet(int epoll, int operation, int fd, EpollEvent* e)
    {
        int result = Real.epoll_ctl(epoll, operation, fd, e);
        if (result != 0 || !ReserveItems() || (SetOf(epoll) == null && !Adopt(epoll, fd)) || !Enter())
        {
            return result;
        }

        WakeList wakes = default;
        uint set = Fds.IdOf(epoll) + 1;
        uint inner = Fds.IdOf(fd);
        uint at = Find(set, fd, s_sets[inner].FirstParent, 0);
        if (operation == Abi.EPOLL_CTL_ADD && at == 0 && Add(set, fd, inner, ItemFlags.IsSet | ItemFlags.NativeToo, e, &wakes) == 0)
        {
            _ = Real.epoll_ctl(epoll, Abi.EPOLL_CTL_DEL, fd, e);
            result = Libc.Fail(Abi.ENOMEM);
        }
        else if (operation == Abi.EPOLL_CTL_MOD && at != 0)
        {
            Arm(&s_items[at - 1], at, e, &wakes);
        }
        else if (operation == Abi.EPOLL_CTL_DEL && at != 0)
        {
            s_items[at - 1].Flags &= ~ItemFlags.NativeToo; // the kernel has forgotten it already
            Remove(at);
        }

        Leave();
        wakes.Ring();
        return result;
    }

    /// <summary>Makes a set of an epoll fd that this library has not seen being made. False with errno when it is none.</summary>
    private static bool Adopt(int epoll, int fd)
    {
        EpollEvent none = default;
        if (Real.epoll_ctl(epoll, Abi.EPOLL_CTL_MOD, fd, &none) != 0 && Libc.Errno != ENOENT) // an epoll set, with or without this fd
        {
            return false;
        }

        // It may have had native fds before this library knew it: always ask the kernel too.
        return TryMake(epoll, 1) || Libc.Fail(Abi.ENOMEM) == 0;
    }

    private static int Change(uint set, int operation, int fd, EpollEvent* e, bool isShared, WakeList* wakes, out bool isReady)
    {
        isReady = false;
        uint socket = Fds.IdOf(fd);
        FdKind kind = Fds.KindOf(fd);
        ItemFlags life = kind == FdKind.Lost ? ItemFlags.Lost : kind == FdKind.Dead ? ItemFlags.Dead : 0;
        if (operation != Abi.EPOLL_CTL_DEL && (e->Events & Abi.EPOLLEXCLUSIVE) != 0
            && (operation == Abi.EPOLL_CTL_MOD || (e->Events & ~ExclusiveBits) != 0))
        {
            return Abi.EINVAL;
        }

        uint at = Find(set, fd, s_first[socket], life);
        Item* item = at == 0 ? null : &s_items[at - 1];
        switch (operation)
        {
            case Abi.EPOLL_CTL_ADD:
                if (at != 0)
                {
                    return EEXIST;
                }

                EpollEvent native = new() { Events = life == 0 ? Readiness.NativeEvents(Region.Socket(socket), e->Events) : 0, Data = e->Data };
                bool both = native.Events != 0 && Real.epoll_ctl(s_sets[set - 1].Fd, operation, fd, &native) == 0;
                at = Add(set, fd, socket, life | (both ? ItemFlags.NativeToo : 0), e, wakes);
                if (at != 0 && isShared && !Publish(&s_sets[set - 1], at))
                {
                    Remove(at);
                    at = 0;
                }

                isReady = at != 0 && Is(&s_items[at - 1], ItemFlags.Ready);
                return at != 0 ? 0 : Abi.ENOMEM;
            case Abi.EPOLL_CTL_MOD:
                if (at == 0 || (item->Events & Abi.EPOLLEXCLUSIVE) != 0)
                {
                    return at == 0 ? ENOENT : Abi.EINVAL;
                }

                Arm(item, at, e, wakes);
                if (Is(item, ItemFlags.NativeToo))
                {
                    native = new() { Events = life == 0 ? Readiness.NativeEvents(Region.Socket(socket), e->Events) : e->Events, Data = e->Data };
                    _ = Real.epoll_ctl(s_sets[set - 1].Fd, operation, fd, &native);
                }

                _ = isShared && Publish(&s_sets[set - 1], at);
                isReady = Is(item, ItemFlags.Ready);
                return 0;
            case Abi.EPOLL_CTL_DEL:
                if (at == 0)
                {
                    return ENOENT;
                }

                if (isShared)
                {
                    FreeWatch(item);
                }

                Remove(at);
                return 0;
            default:
                return Abi.EINVAL;
        }
    }
}
