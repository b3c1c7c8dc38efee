using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Datagram sockets (SOCK_DGRAM over IPv4 and IPv6): what they are. One may have two halves at once: the kernel socket behind the fd, for the guest's own loopback, and one in the
/// NSM for everything else, both bound to the same port. A receive takes from either, a send chooses by destination.
/// </summary>
internal static unsafe class Datagrams
{
    /// <summary>Status bit: connected to a peer on the guest's own loopback; the kernel socket does everything.</summary>
    internal const uint NativePeer = 1u << 31;

    /// <summary>Status bit: the program chose the port, so it survives connect(AF_UNSPEC).</summary>
    internal const uint KeepsPort = 1u << 30;

    /// <summary>Status bit: the NSM's error queue has something for MSG_ERRQUEUE.</summary>
    internal const uint ErrorQueued = 1u << 29;

    /// <summary>Bit of <see cref="RxEntry.Size"/>: the datagram goes on in the next entry.</summary>
    internal const uint GoesOn = 1u << 31;

    internal static bool Is(SocketSlot* s) => s->Type == Abi.SOCK_DGRAM;

    internal static bool IsCovered(int domain, int type, int protocol) =>
        domain is Abi.AF_INET or Abi.AF_INET6 && (type & Abi.SOCK_TYPE_MASK) == Abi.SOCK_DGRAM && protocol is 0 or Abi.IPPROTO_UDP;

    /// <summary>The guest's own kernel carries what goes to that address.</summary>
    internal static bool IsNative(SocketSlot* s, ulong low, ulong high) => Region.IsHostMode
        ? (Volatile.Read(ref s->Status) & SocketStatus.Known) == 0 && Addresses.IsLoopback(low, high) // the host's loopback; one socket, one port
        : Addresses.IsLoopback(low, high) || Region.IsOwnAddress(low, high);

    /// <summary>Whether the kernel socket may have something to receive beside the NSM.</summary>
    internal static bool HasNativeHalf(uint status) => (status & (SocketStatus.NativeBound | SocketStatus.Connected)) == SocketStatus.NativeBound;

    /// <summary>A whole datagram lies in the receive queue.</summary>
    internal static bool HasQueued(SocketSlot* s)
    {
        uint head = DatagramRevival.Head(s);
        uint entries = Volatile.Read(ref s->RxTail) - head; // Acquire: pairs with the drainer's release.
        RxEntry* first = &((RxEntry*)s->Entries)[head % SocketSlot.RxRing];
        return (entries > 1 || (entries == 1 && (first->Size & GoesOn) == 0)) && !RxParts.IsVoid(s, first->Offset);
    }

    /// <summary>What poll(2) says, as the kernel's datagram_poll has it, without the half that the kernel itself watches.</summary>
    internal static uint Readiness(SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & NativePeer) != 0)
        {
            return 0;
        }

        if ((status & SocketStatus.Reset) != 0)
        {
            return Abi.EPOLLIN | Abi.EPOLLRDNORM | Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLERR;
        }

        uint events = Volatile.Read(ref s->Error) != 0 || (status & ErrorQueued) != 0 ? Abi.EPOLLERR : 0;
        if ((status & SocketStatus.ShutRead) != 0)
        {
            events |= Abi.EPOLLRDHUP | Abi.EPOLLIN | Abi.EPOLLRDNORM | ((status & SocketStatus.ShutWrite) != 0 ? Abi.EPOLLHUP : 0);
        }

        if (HasQueued(s))
        {
            events |= Abi.EPOLLIN | Abi.EPOLLRDNORM;
        }

        if (Sending.HasRoom(s) || !GuestLib.Readiness.WantRoom(s))
        {
            events |= Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLWRBAND;
        }

        return events;
    }

    /// <summary>The events for which the kernel is to watch the socket too, of those that a program wants; 0: none.</summary>
    internal static uint NativeEvents(SocketSlot* s, uint wanted)
    {
        uint status = Volatile.Read(ref s->Status);
        return (status & NativePeer) != 0 ? wanted | Abi.EPOLLERR // never 0
            : HasNativeHalf(status) ? (wanted & ~(Abi.EPOLLOUT | Abi.EPOLLWRNORM | Abi.EPOLLWRBAND)) | Abi.EPOLLERR : 0;
    }

    /// <summary>Bytes of the next datagram: FIONREAD (udp(7)).</summary>
    internal static int Available(int fd, SocketSlot* s)
    {
        _ = Draining.Of(s->QueueSet);
        uint status = Volatile.Read(ref s->Status);
        if ((status & NativePeer) == 0 && HasQueued(s) && Locks.TryEnter(ref s->RxLock))
        {
            int bytes = -1;
            DatagramRevival.DropVoid(s);
            if (HasQueued(s))
            {
                RxEntry* entry = &((RxEntry*)s->Entries)[s->RxHead % SocketSlot.RxRing];
                bytes = (int)((DatagramHeader*)(Region.Pool + entry->Offset))->Length;
            }

            Locks.Leave(ref s->RxLock);
            if (bytes >= 0)
            {
                return bytes;
            }
        }

        int native = 0;
        return (status & NativePeer) != 0 || HasNativeHalf(status) ? Real.ioctl(fd, Abi.FIONREAD, (nint)(&native)) == 0 ? native : 0 : 0;
    }

    /// <summary>shutdown(2). The kernel fails it on a socket without a peer, and does it all the same (inet_shutdown).</summary>
    internal static int Shutdown(int fd, SocketSlot* s, int how)
    {
        if (how is < Abi.SHUT_RD or > Abi.SHUT_RDWR)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        uint status = Interlocked.Or(ref s->Status, (how != Abi.SHUT_WR ? SocketStatus.ShutRead : 0) | (how != Abi.SHUT_RD ? SocketStatus.ShutWrite : 0));
        int result = Real.shutdown(fd, how);
        int errno = Libc.Errno;

        // Whoever waits is to see the end: sets by the mark, sleepers, in every process, by the answer to a question.
        Draining.Mark(s, Fds.IdOf(fd));
        int answer;
        uint length = sizeof(int);
        _ = Options.Ask(s, Fds.IdOf(fd), Abi.SOL_SOCKET, Abi.SO_ERROR, &answer, &length);
        Libc.Errno = errno;
        return (status & SocketStatus.Connected) != 0 ? 0 : result;
    }
}
