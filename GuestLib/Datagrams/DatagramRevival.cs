using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Datagram sockets outlive their NSM, as they outlive any network that goes down: CoreEngine makes them again at the next one. In between a receive waits, a send gives ENETDOWN;
/// what was under way is lost. Called while draining.
/// </summary>
internal static unsafe class DatagramRevival
{
    /// <summary>Status bit: what the receive queue holds before <see cref="SocketSlot.RxVoid"/> is void, the next reader drops it.</summary>
    private const uint Voided = 1u << 28;

    /// <summary>Status bit: the NSM is gone, or the guest has left it, and the next one has not been told everything yet.</summary>
    private const uint Down = 1u << 27;

    /// <summary>Status bit: the ControlLock's holder waits for a SendDone. It goes with the NSM, while other requests are answered in any case.</summary>
    private const uint AwaitsSend = 1u << 26;

    /// <summary>The NSM is gone: what it had delivered lies in memory that the next one will use.</summary>
    internal static void Suspended(SocketSlot* s)
    {
        Volatile.Write(ref s->RxVoid, s->RxTail);
        uint status = Interlocked.Or(ref s->Status, Voided | Down);
        Interlocked.And(ref s->Status, ~(Datagrams.ErrorQueued | AwaitsSend));
        Volatile.Write(ref Region.Header->DatagramOptionsTaken, 0); // the next one may be of another kind
        if ((status & AwaitsSend) != 0)
        {
            s->ControlError = Abi.ENETDOWN;
            Draining.Answered(s);
        }

        Draining.Changed(s);
        _ = Rings.Wake(s->QueueSet); // credits for the old one are not to meet the new one
    }

    /// <summary>The socket is made again. Told twice, it stays as it is.</summary>
    internal static void Renewed(SocketSlot* s, uint epoch)
    {
        if ((Volatile.Read(ref s->Status) & Down) == 0)
        {
            return; // it was made while there was no NSM: each of its sends was answered
        }

        Volatile.Write(ref s->TxBytes, 0);
        Volatile.Write(ref s->TxSends, 0);
        Volatile.Write(ref s->TxOwn, 0);
        Volatile.Write(ref s->NsmEpoch, epoch);
        Volatile.Write(ref s->Renewals, s->Renewals + 1);
        Interlocked.And(ref s->Status, ~Down);
        _ = Draining.MadeRoom(s);
        Draining.Changed(s);
    }

    /// <summary>Nothing can be sent at present.</summary>
    internal static bool IsDown(SocketSlot* s) => (Volatile.Read(ref s->Status) & Down) != 0;

    /// <summary>A SendDone is waited for from now on, or not any more.</summary>
    internal static void AwaitSend(SocketSlot* s, bool waits) =>
        _ = waits ? Interlocked.Or(ref s->Status, AwaitsSend) : Interlocked.And(ref s->Status, ~AwaitsSend);

    /// <summary>The first entry of the receive queue that counts.</summary>
    internal static uint Head(SocketSlot* s) => (Volatile.Read(ref s->Status) & Voided) != 0 ? Volatile.Read(ref s->RxVoid) : Volatile.Read(ref s->RxHead);

    /// <summary>Lets go of what is void; the caller holds RxLock.</summary>
    internal static void DropVoid(SocketSlot* s)
    {
        if ((Volatile.Read(ref s->Status) & Voided) == 0)
        {
            return;
        }

        uint end;
        do
        {
            end = Volatile.Read(ref s->RxVoid);
            Volatile.Write(ref s->RxHead, end);
            Interlocked.And(ref s->Status, ~Voided);
        }
        while (Volatile.Read(ref s->RxVoid) != end); // lost once more meanwhile
    }

    /// <summary>
    /// A receive on a socket whose CoreEngine is gone waits until there is another: the socket as it is then, or null with errno when the socket is non-blocking, its SO_RCVTIMEO has passed
    /// or a signal came.
    /// </summary>
    internal static SocketSlot* Await(int fd, int flags)
    {
        const int Tries = 1000;
        for (int i = 0; i < Tries && Region.Dead && Fds.KindOf(fd) == FdKind.Socket; i++)
        {
            _ = Libc.sched_yield(); // the thread that has noticed is about to say what becomes of it
        }

        TimeVal time = default;
        uint length = 16;
        bool timed = Real.getsockopt(fd, Abi.SOL_SOCKET, Abi.SO_RCVTIMEO, &time, &length) == 0 && (time.Seconds | time.Microseconds) != 0;
        long deadline = timed ? Libc.Now() + (time.Seconds * 1_000_000_000) + (time.Microseconds * 1000) : long.MaxValue;
        bool nonBlocking = (flags & Abi.MSG_DONTWAIT) != 0 || (Real.fcntl(fd, Abi.F_GETFL, 0) & Abi.O_NONBLOCK) != 0;
        while (true)
        {
            SocketSlot* s = Fds.Ours(fd);
            if (s != null || !Fds.IsSuspended(fd))
            {
                _ = s != null || !Fds.IsDead(fd) ? 0 : Libc.Fail(Abi.ENETDOWN);
                return s;
            }

            if (nonBlocking || Libc.Now() >= deadline)
            {
                _ = Libc.Fail(Abi.EAGAIN);
                return null;
            }

            TimeSpec nap = new() { Nanoseconds = Reviving.Interval };
            if (Real.ppoll(null, 0, &nap, null) < 0 && !(Libc.Errno == Abi.EINTR && Interrupts.AllRestart()))
            {
                return null;
            }
        }
    }

    /// <summary>Counts off what a SendDone gives back. What was sent before the NSM was lost may be answered after the count has started anew.</summary>
    internal static void Discount(ref uint count, uint by)
    {
        uint seen = Volatile.Read(ref count);
        while (true)
        {
            uint before = Interlocked.CompareExchange(ref count, seen > by ? seen - by : 0, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
