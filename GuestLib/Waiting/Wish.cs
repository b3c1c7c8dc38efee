namespace NetKernel.GuestLib;

/// <summary>What a thread waits for.</summary>
internal enum WaitKind : byte
{
    /// <summary>One socket: a blocking call, or poll on nothing else of ours.</summary>
    Socket,

    /// <summary>An epoll set.</summary>
    Set,

    /// <summary>Any of several sockets and sets: poll, select.</summary>
    Many,
}

/// <summary>A thread's wait: what would end it.</summary>
internal unsafe struct Wish
{
    internal WaitKind Kind;

    /// <summary>Of several that wait for the same, one is woken per event: accept, epoll_wait.</summary>
    internal bool Exclusive;

    /// <summary>A blocking call without a timeout of the program's: a signal whose handler has SA_RESTART does not end it (signal(7)).</summary>
    internal bool Restarts;

    /// <summary>No signal ends it and no cancellation: the thread holds something that others need.</summary>
    internal bool Shielded;

    /// <summary>Socket id, or index of the epoll set.</summary>
    internal uint Key;

    /// <summary>For <see cref="WaitKind.Many"/>: see <see cref="BitOf"/>.</summary>
    internal ulong Mask;

    /// <summary>Native fds to wait for as well, with room for two more.</summary>
    internal PollFd* Fds;
    internal uint Count;

    /// <summary>The native fd, of which there is one, says POLLERR all the time: it is what is new that counts.</summary>
    internal bool Edges;

    /// <summary>Monotonic ns; -1: none.</summary>
    internal long Deadline;

    /// <summary>The signal mask to wait with, or null.</summary>
    internal void* Signals;

    /// <summary><see cref="Draining.Ticket"/>, taken before the condition was looked at.</summary>
    internal uint Ticket;

    /// <summary>Bit of <see cref="Mask"/> that stands for sets.</summary>
    internal const ulong Sets = 1ul << 63;

    /// <summary>The bit of <see cref="Mask"/> that a socket shares with others: who waits for few is not woken for all.</summary>
    internal static ulong BitOf(uint socket) => 1ul << (int)(socket % 63);

    /// <summary>Nothing but an event or a signal ends it: a call that the kernel restarts by itself can do the sleeping.</summary>
    internal readonly bool IsPlain => Restarts && Count == 0 && Deadline < 0 && Signals == null && !Shielded;
}
