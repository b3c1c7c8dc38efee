using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// connect(2) with AF_UNSPEC: the connection ends with RST, and the socket may connect again. A slot has one life, so a new one takes its place under the same fds. Other
/// processes that share the socket keep the old one until they close it.
/// </summary>
internal static unsafe class Disconnecting
{
    private const uint Carried = Status.NonBlocking | Status.HasTimeouts | Status.Lingers;

    internal static int Do(int fd, SocketSlot* s)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & SocketStatus.Listening) != 0)
        {
            return Closing.StopListening(fd, s);
        }

        if ((status & SocketStatus.Connected) != 0)
        {
            return Replace(fd, s, status);
        }

        if ((status & SocketStatus.Connecting) != 0)
        {
            return Closing.Shutdown(fd, s, Abi.SHUT_RDWR);
        }

        Interlocked.And(ref s->Status, ~(Status.ConnectFailed | SocketStatus.ShutRead | SocketStatus.ShutWrite));
        return 0;
    }

    private static int Replace(int fd, SocketSlot* s, uint status)
    {
        if (!Slots.TryClaim(s->Domain, s->Type, s->Inode, status & Carried, out uint id))
        {
            return Libc.Fail(Abi.ENOBUFS);
        }

        SocketSlot* fresh = Region.Socket(id);
        uint old = Fds.IdOf(fd);
        fresh->OptionMask = s->OptionMask;
        fresh->TxLimit = s->TxLimit;
        fresh->RxLowWater = s->RxLowWater;
        fresh->Error = Closing.IsOver(s, status) ? 0 : Abi.ECONNRESET;
        s->Inode = 0; // names the new one from now on
        Fds.Move(old, id);
        Epoll.Moved(old, id);
        Options.ResetAtClose(s, old);
        Holding.Leave(old);
        if ((status & Status.ExplicitBound) == 0)
        {
            return 0;
        }

        // The program's own bind outlasts the connection.
        bool wildcard = (status & SocketStatus.WildcardBound) != 0;
        ulong low = wildcard ? 0 : s->LocalLow;
        ulong high = wildcard ? s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0 : s->LocalHigh;
        int error = Opening.BindAtNsm(fd, id, fresh, low, high, s->LocalPort, wildcard);
        Interlocked.Or(ref fresh->Status, status & (SocketStatus.Bound | SocketStatus.NativeBound | SocketStatus.WildcardBound | Status.ExplicitBound));
        return error == 0 ? 0 : Libc.Fail(error);
    }
}
