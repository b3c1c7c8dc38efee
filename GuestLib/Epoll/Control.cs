using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>Epoll_ctl(2).</content>
internal static unsafe partial class Epoll
{
    internal static int Control(int epoll, int operation, int fd, EpollEvent* e)
    {
        SocketSlot* s = Fds.SocketOf(fd);
        bool dead = s == null && Fds.KindOf(fd) is FdKind.Dead or FdKind.Lost;
        if (!dead && (s == null || (Volatile.Read(ref s->Status) & SocketStatus.Native) != 0))
        {
            int result = Real.epoll_ctl(epoll, operation, fd, e);
            Set* set = SetOf(epoll);
            if (result == 0 && set != null)
            {
                set->Natives += operation == Abi.EPOLL_CTL_ADD ? 1 : operation == Abi.EPOLL_CTL_DEL && set->Natives > 0 ? -1 : 0;
            }

            return result;
        }

        if (e == null && operation != Abi.EPOLL_CTL_DEL)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        if (SetOf(epoll) == null && !Adopt(epoll, fd))
        {
            return -1;
        }

        if (!Enter())
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        int error = Change(Fds.IdOf(epoll), operation, fd, Fds.IdOf(fd), s, e);
        Leave();
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>Makes a set of an epoll fd, once it gets its first socket of ours. False with errno when it is none.</summary>
    private static bool Adopt(int epoll, int fd)
    {
        EpollEvent none = default;
        if (Real.epoll_ctl(epoll, Abi.EPOLL_CTL_DEL, fd, &none) != 0 && Libc.Errno != 2) // ENOENT: an epoll set without this fd
        {
            return false;
        }

        // It may have had native fds before this library knew it: always ask the kernel too.
        return TryMake(epoll, 1) || Libc.Fail(Abi.ENOMEM) == 0;
    }

    private static int Change(uint setIndex, int operation, int fd, uint socket, SocketSlot* s, EpollEvent* e)
    {
        uint at = Find(setIndex, fd, socket);
        Set* set = &s_sets[setIndex];
        switch (operation)
        {
            case Abi.EPOLL_CTL_ADD:
                if (at != 0)
                {
                    return 17; // EEXIST
                }

                at = New();
                if (at == 0)
                {
                    return Abi.ENOMEM;
                }

                Item* added = &s_items[at - 1];
                added->Fd = fd;
                added->Socket = socket;
                added->Set = setIndex + 1;
                added->Lost = Fds.KindOf(fd) == FdKind.Lost;
                added->Dead = s == null && !added->Lost;
                added->NextOfSocket = s_first[socket];
                s_first[socket] = at;
                set->Items++;
                s_count++;
                Arm(added, at, s, e);
                if (s != null && (s->Status & (SocketStatus.Listening | SocketStatus.NativeBound)) == (SocketStatus.Listening | SocketStatus.NativeBound)
                    && Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, fd, e) == 0)
                {
                    added->NativeToo = true;
                    set->Natives++;
                }

                return 0;
            case Abi.EPOLL_CTL_MOD:
                if (at == 0)
                {
                    return 2; // ENOENT
                }

                if ((e->Events & Abi.EPOLLEXCLUSIVE) != 0)
                {
                    return Abi.EINVAL;
                }

                Arm(&s_items[at - 1], at, s, e);
                if (s_items[at - 1].NativeToo)
                {
                    _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_MOD, fd, e);
                }

                return 0;
            case Abi.EPOLL_CTL_DEL:
                if (at == 0)
                {
                    return 2;
                }

                Remove(at);
                return 0;
            default:
                return Abi.EINVAL;
        }
    }
}
