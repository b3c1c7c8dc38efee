using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Requests for sockets that CoreEngine does not know, or that are over.</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>A request for a socket that CoreEngine does not know, or had no room for.</summary>
    private bool Unknown(GuestPort guest, uint q, Nqe* e, uint mapped)
    {
        switch (e->Op)
        {
            case Op.Close:
                guest.Map[e->Socket] = 0;
                TellClosed(guest, q, e->Socket);
                if (SocketState.KindOf(System.Threading.Volatile.Read(ref guest.SlotOf(e->Socket)->State)) == SocketState.Closing)
                {
                    Defer(guest, q, e->Socket);
                }

                return true;
            case Op.Send or Op.Shutdown when mapped == 0:
                return Violate(guest, Violation.SocketUnknown, q, e->Socket);
            default:
                Answer(guest, q, e, mapped == 0 ? Libc.EBADF : Libc.ENOBUFS);
                return true;
        }
    }

    /// <summary>A request for a socket that is closed, reset, or without an NSM: most often the two crossed each other.</summary>
    private bool Ended(GuestPort guest, Nqe* e, uint id, Connection* connection, bool job)
    {
        uint q = connection->QueueSet;
        bool down = (connection->Flags & ConnectionFlags.Down) != 0;
        bool known = connection->Phase == Phase.Active && !down; // reset, but the NSM still holds it
        switch (e->Op)
        {
            case Op.Close when known:
                return Close(guest, e, id, connection);
            case Op.Close when connection->Phase == Phase.Closing:
                return true;
            case Op.Close:
                FinishClose(guest, id, connection);
                return true;
            case Op.RxCredit when known:
                return Credit(guest, e, id, connection);
            case Op.SetOption when down && ((connection->Flags & ConnectionFlags.Datagram) == 0 || (e->Flags & NqeFlags.Sync) == 0):
                KeepOption(id, connection, e);
                goto default;
            default:
                Answer(guest, q, e, connection->Phase == Phase.Closing || connection->Errno == 0 ? (down ? Libc.ENETDOWN : Libc.ECONNRESET) : connection->Errno);
                return true;
        }
    }
}
