using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>Control requests: one at a time per socket, answered on the completion ring.</summary>
internal static unsafe class Control
{
    /// <summary>
    /// A waiter looks again by itself after so long (ns): the answer to the last Close may be taken by a process that knows nobody who waits for it.
    /// </summary>
    private const long LookAgain = 10_000_000;

    /// <summary>
    /// Puts a request out and waits for its completion (ControlError, ControlData, ControlPtr of the slot). Returns 0 when completed, else an errno.
    /// The caller holds the socket's ControlLock. <paramref name="elements"/> may start with Socket and SetOption requests. With a
    /// <paramref name="deadline"/> (monotonic ns) it gives up then, or when a signal comes.
    /// </summary>
    internal static int Request(SocketSlot* s, uint id, RingKind ring, Nqe* elements, uint count, long deadline = -1)
    {
        uint sequence = Begin(s);
        bool sent = ring == RingKind.Job ? Rings.Job(s, elements, count) : Rings.Send(s, elements, count);
        return sent ? Await(s, id, sequence, deadline, untilLost: false) : Region.IsOver(s) ? Abi.ECONNRESET : Abi.EAGAIN;
    }

    /// <summary>
    /// Puts a Send with Sync out and waits for its SendDone (ControlError). Returns 0 when completed, else an errno. The caller holds the socket's ControlLock. With the NSM
    /// a Send is gone without an answer.
    /// </summary>
    internal static int RequestSend(SocketSlot* s, uint id, Nqe* elements, uint count)
    {
        QueueSetHeader* set = Region.QueueSet(s->QueueSet);
        uint sequence = Begin(s);
        DatagramRevival.AwaitSend(s, true);
        Interlocked.Increment(ref set->WantsSpace); // SendDone is quiet unless somebody wants it
        int error = Rings.Send(s, elements, count) ? Await(s, id, sequence, -1, untilLost: true) : Abi.EAGAIN;
        Interlocked.Decrement(ref set->WantsSpace);
        DatagramRevival.AwaitSend(s, false);
        return error;
    }

    /// <summary>Counts a request: the next odd number, until it is answered.</summary>
    private static uint Begin(SocketSlot* s)
    {
        uint sequence = (s->ControlSequence | 1) + ((s->ControlSequence & 1) << 1);
        Volatile.Write(ref s->ControlSequence, sequence);
        return sequence;
    }

    private static int Await(SocketSlot* s, uint id, uint sequence, long deadline, bool untilLost)
    {
        while (true)
        {
            uint ticket = Draining.Ticket();
            if (Volatile.Read(ref s->ControlSequence) != sequence)
            {
                return 0;
            }

            if (Region.IsOver(s) || (untilLost && DatagramRevival.IsDown(s)))
            {
                return Abi.ECONNRESET;
            }

            if (Draining.All())
            {
                continue;
            }

            long again = Libc.Now() + LookAgain;
            int held = deadline < 0 ? Waiting.Hold(id, again, ticket) : Waiting.Block(id, null, 0, deadline < again ? deadline : again, true, ticket);
            if ((held < 0 && (deadline >= 0 || Libc.Errno == Abi.EAGAIN)) || (deadline >= 0 && Libc.Now() >= deadline))
            {
                return deadline >= 0 ? Abi.EINTR : Abi.EAGAIN;
            }
        }
    }

    /// <summary>Writes what makes the socket known to its NSM: Socket, and the options set so far. Returns the number of elements (at most 1 + options).</summary>
    internal static uint Introduce(SocketSlot* s, uint id, int fd, Nqe* elements)
    {
        if ((s->Status & SocketStatus.Known) != 0)
        {
            return 0;
        }

        s->NsmEpoch = Volatile.Read(ref Region.Header->NsmEpoch);
        elements[0] = default;
        elements[0].Op = Op.Socket;
        elements[0].Socket = id;
        elements[0].OpData = s->Domain | ((ulong)s->Type << 16) | ((ulong)(Datagrams.Is(s) ? Abi.IPPROTO_UDP : Abi.IPPROTO_TCP) << 32);
        uint n = 1;
        for (ulong mask = s->OptionMask & ((1ul << OptionTable.Told) - 1); mask != 0; mask &= mask - 1)
        {
            int index = System.Numerics.BitOperations.TrailingZeroCount(mask);
            if (Datagrams.Is(s) ? DatagramOptions.TryStored(fd, index, &elements[n]) : Options.TryStored(fd, index, &elements[n]))
            {
                elements[n++].Socket = id;
            }
        }

        Interlocked.Or(ref s->Status, SocketStatus.Known);
        return n;
    }

    /// <summary>The most elements that <see cref="Introduce"/> writes, and one request behind them.</summary>
    internal const int IntroduceMost = OptionTable.Told + 2;
}
