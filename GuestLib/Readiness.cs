using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>What poll(2) and epoll(7) say of a socket, as the kernel's tcp_poll has it. POLL and EPOLL bits are the same numbers.</summary>
internal static unsafe class Readiness
{
    internal const uint Broken = Abi.EPOLLIN | Abi.EPOLLRDNORM | Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLERR | Abi.EPOLLHUP | Abi.EPOLLRDHUP;

    /// <summary>What arriving data or connections can mean to a waiter, and what room can; a change of state can mean anything.</summary>
    internal const uint InBits = Abi.EPOLLIN | Abi.EPOLLPRI | Abi.EPOLLRDNORM | Abi.EPOLLRDBAND, OutBits = Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLWRBAND;

    /// <summary>The events that hold now. When OUT does not, SendDone will be news.</summary>
    internal static uint Of(SocketSlot* s)
    {
        if (Datagrams.Is(s))
        {
            return Datagrams.Readiness(s);
        }

        uint status = Volatile.Read(ref s->Status);
        bool queued = Volatile.Read(ref s->RxTail) != s->RxHead || Direct.Waiting(s) != 0;
        if ((status & SocketStatus.Listening) != 0)
        {
            return queued ? Abi.EPOLLIN | Abi.EPOLLRDNORM : 0;
        }

        if ((status & (SocketStatus.Reset | Status.ConnectFailed)) != 0)
        {
            return s->Error != 0 ? Broken : Broken & ~Abi.EPOLLERR;
        }

        if ((status & SocketStatus.Connected) == 0)
        {
            // shutdown(2) leaves its mark on these too.
            uint shut = (status & SocketStatus.ShutRead) != 0 ? Abi.EPOLLIN | Abi.EPOLLRDNORM | Abi.EPOLLRDHUP : 0;
            uint error = s->Error != 0 ? Abi.EPOLLERR : 0; // of a connection that was given up (AF_UNSPEC)
            return (status & SocketStatus.Connecting) != 0 ? shut : shut | error | Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLHUP;
        }

        uint events = 0;
        bool readEnd = (status & (SocketStatus.PeerClosed | SocketStatus.ShutRead)) != 0;
        if (readEnd || (queued && (s->RxLowWater <= 1 || Receiving.IsEnough(s))))
        {
            events |= Abi.EPOLLIN | Abi.EPOLLRDNORM;
        }

        if (readEnd)
        {
            events |= Abi.EPOLLRDHUP | ((status & SocketStatus.ShutWrite) != 0 ? Abi.EPOLLHUP : 0);
        }

        if ((status & SocketStatus.ShutWrite) != 0 || Sending.HasRoom(s) || !WantRoom(s))
        {
            events |= Abi.EPOLLOUT | Abi.EPOLLWRNORM;
        }

        return events;
    }

    /// <summary>Of the events that a program wants, those for which the kernel is to watch the fd too; 0: none. Listeners and datagram sockets have a loopback half there.</summary>
    internal static uint NativeEvents(SocketSlot* s, uint wanted)
    {
        if (Datagrams.Is(s))
        {
            return Datagrams.NativeEvents(s, wanted);
        }

        const uint Both = SocketStatus.Listening | SocketStatus.NativeBound;
        return (Volatile.Read(ref s->Status) & Both) == Both ? wanted | Abi.EPOLLERR : 0; // ERR is reported in any case
    }

    /// <summary>
    /// Asks that the next SendDone that makes room is news; false when there is room after all. The wish then stays, because others may have come to rely on it meanwhile: the
    /// next SendDone takes it.
    /// </summary>
    internal static bool WantRoom(SocketSlot* s)
    {
        // Counted before it is said, and discounted after it is unsaid: the count is never less than the wishes. The other way round somebody who fulfils this wish in between takes another
        // socket's count away, and until this thread gets to run again nothing wakes whoever sleeps for that one.
        ref uint wishes = ref Region.QueueSet(s->QueueSet)->WantsSpace;
        Interlocked.Increment(ref wishes);
        if ((Interlocked.Or(ref s->Status, Status.NoSpace) & Status.NoSpace) != 0)
        {
            Interlocked.Decrement(ref wishes);
        }

        Direct.WantRoom(s);
        Interlocked.MemoryBarrier();
        return !Sending.HasRoom(s);
    }

    /// <summary>The wish of <see cref="WantRoom"/> is fulfilled, or void.</summary>
    internal static void GotRoom(SocketSlot* s)
    {
        if ((Interlocked.And(ref s->Status, ~Status.NoSpace) & Status.NoSpace) != 0)
        {
            Interlocked.Decrement(ref Region.QueueSet(s->QueueSet)->WantsSpace);
        }
    }
}
