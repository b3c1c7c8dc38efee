using NetKernel.Channel;

namespace NetKernel.GuestLib.Names;

/// <summary>A query, and its answer.</summary>
internal unsafe struct Leg
{
    internal byte* Query;
    internal int QueryLength;

    /// <summary>Where the answer goes.</summary>
    internal byte* Answer;

    /// <summary>How much fits there; 0: memory is taken for each answer, and lives as long as <see cref="Held"/>.</summary>
    internal int Room;

    /// <summary>The answer's length: over TCP the whole, even when not all of it had room. 0: none.</summary>
    internal int Got;

    /// <summary>The response code of the last answer, also of one that was passed over for that of another server.</summary>
    internal int Rcode;

    /// <summary>A server has said that it cannot, will not or must not answer.</summary>
    internal bool Failed;
}

/// <summary>
/// Sends queries to the servers of a resolver state and gets the answers, in the order and with the patience that resolver(3) and resolv.conf(5) promise. The
/// sockets are this library's, so that servers outside are reached by way of the NSM, and servers on the guest's loopback by its own kernel.
/// </summary>
internal static unsafe class Exchange
{
    private static uint s_rotation;

    /// <summary>One query, or two at once. 0 with an answer to at least one of them, or -1 and errno.</summary>
    internal static int Send(ResolverState* state, Leg* legs, int count, Held* held)
    {
        int servers = state->Servers;
        if (servers <= 0)
        {
            return Libc.Fail(3); // ESRCH, as in the C library
        }

        servers = servers > ResolverState.MaxServers ? ResolverState.MaxServers : servers;
        byte* scratch = held->Scratch != null ? held->Scratch : (held->Scratch = (byte*)Libc.malloc(DnsMessage.MaxLength + 1));
        if (scratch == null)
        {
            return Libc.Fail(Abi.ENOMEM);
        }

        Errand errand = new() { State = state, Legs = legs, Count = count, Held = held, LastError = Abi.ETIMEDOUT };
        for (int i = 0; i < count; i++)
        {
            errand.ByStream |= legs[i].QueryLength > DnsMessage.MaxPlainDatagram;
        }

        errand.ByStream |= (state->Options & ResolverState.UseTcp) != 0;
        int first = (state->Options & ResolverState.Rotate) != 0 ? (int)(Interlocked.Increment(ref s_rotation) % (uint)servers) : 0;
        int attempts = state->Attempts < 1 ? 1 : state->Attempts;
        for (int attempt = 0; attempt < attempts; attempt++)
        {
            for (int i = 0; i < servers; i++)
            {
                errand.Server = (first + i) % servers;
                Step step = errand.ByStream ? Streams.Ask(ref errand) : Datagrams.Ask(ref errand);
                if (step == Step.Truncated)
                {
                    errand.ByStream = true;
                    step = Streams.Ask(ref errand);
                }

                held->Close();
                if (step == Step.Answered)
                {
                    return 0;
                }

                if (step == Step.Impossible)
                {
                    return -1;
                }
            }

            if (errand.ByStream)
            {
                break; // TCP repeats by itself what is lost
            }
        }

        return Libc.Fail(errand.ByStream ? errand.LastError : errand.Reached ? Abi.ETIMEDOUT : ECONNREFUSED);
    }

    internal const int ECONNREFUSED = 111;
}

/// <summary>What asking one server led to.</summary>
internal enum Step
{
    /// <summary>Nothing usable: the next server.</summary>
    Next,

    Answered,

    /// <summary>The answer is too long for a datagram.</summary>
    Truncated,

    /// <summary>Not this server's fault, as when there are no more fds: errno.</summary>
    Impossible,
}

/// <summary>What is asked, and of whom.</summary>
internal unsafe struct Errand
{
    internal ResolverState* State;
    internal Leg* Legs;
    internal int Count;
    internal Held* Held;
    internal int Server;
    internal bool ByStream;

    /// <summary>Some server has sent something, or has kept silent.</summary>
    internal bool Reached;

    /// <summary>Of the last connection that failed.</summary>
    internal int LastError;

    /// <summary>How long to wait for the server: longer for each further one, but shared among them, as the C library has it.</summary>
    internal readonly long Patience
    {
        get
        {
            long seconds = (long)State->Timeout << Server;
            seconds = Server > 0 ? seconds / (State->Servers < 1 ? 1 : State->Servers) : seconds;
            seconds = seconds < 1 ? 1 : seconds > 3600 ? 3600 : seconds;
            return seconds * 1_000_000_000;
        }
    }

    internal readonly bool Has(ulong option) => (State->Options & option) != 0;

    /// <summary>A connected (or connecting) non-blocking socket to the server.</summary>
    internal readonly Step Open(int type, out int fd)
    {
        byte* address = State->Server(Server, out uint length);
        fd = -1;
        if (address == null)
        {
            return Step.Next;
        }

        fd = Exports.Lifecycle.Socket(*(ushort*)address, type | Abi.SOCK_NONBLOCK | Abi.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return Libc.Errno is Abi.EAFNOSUPPORT or Abi.ENETDOWN ? Step.Next : Step.Impossible;
        }

        Held->Fd = fd;
        return Exports.Sockets.Connect(fd, address, length) == 0 || Libc.Errno == Abi.EINPROGRESS ? Step.Answered : Step.Next;
    }

    /// <summary>The leg that a message answers, or null.</summary>
    internal readonly Leg* LegOf(byte* message, int length)
    {
        for (int i = 0; i < Count; i++)
        {
            Leg* leg = &Legs[i];
            if (leg->Got == 0 && !leg->Failed
                && (DnsMessage.IsAnswerTo(leg->Query, leg->QueryLength, message, length) || (ByStream && DnsMessage.IsBareErrorFor(leg->Query, message, length))))
            {
                return leg;
            }
        }

        return null;
    }

    /// <summary>Keeps an answer: all of it where memory is taken, else what has room. False without memory.</summary>
    internal readonly bool Keep(Leg* leg, byte* message, int length)
    {
        leg->Rcode = DnsMessage.ResponseCode(message);
        if (!Has(ResolverState.TrustAuthentic))
        {
            DnsMessage.ClearAuthentic(message);
        }

        if (leg->Room == 0 && (leg->Answer = Held->Take((int)(leg - Legs), (nuint)length)) == null)
        {
            return false;
        }

        _ = Libc.memmove(leg->Answer, message, (nuint)(leg->Room != 0 && leg->Room < length ? leg->Room : length));
        return true;
    }

    internal readonly void Forget()
    {
        for (int i = 0; i < Count; i++)
        {
            Legs[i].Got = 0;
            Legs[i].Failed = false;
        }
    }

    internal readonly bool AllDone()
    {
        for (int i = 0; i < Count; i++)
        {
            if (Legs[i].Got == 0 && !Legs[i].Failed)
            {
                return false;
            }
        }

        return true;
    }

    internal readonly bool AnyAnswered()
    {
        for (int i = 0; i < Count; i++)
        {
            if (Legs[i].Got != 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Waits for the socket: 1 when it is ready, 0 when the time is up, -1 with errno.</summary>
    internal static int Wait(int fd, short events, long deadline)
    {
        PollFd poll = new() { Fd = fd, Events = events };
        while (true)
        {
            long left = deadline - Libc.Now();
            int result = Exports.Waits.Poll(&poll, 1, left <= 0 ? 0 : (int)((left + 999_999) / 1_000_000));
            if (result >= 0 || Libc.Errno != Abi.EINTR)
            {
                return result;
            }
        }
    }
}
