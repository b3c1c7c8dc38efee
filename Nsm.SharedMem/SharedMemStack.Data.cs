using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>
/// Data: one copy, from the sender's TX chunks into the receiver's RX chunks. Offsets and sizes were checked and taken into private memory by the host; a guest that writes into its pool
/// meanwhile changes the bytes that its peer gets, and nothing else.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    /// <summary>Bytes for one connection in one turn, so that a fast one does not hold up the others and the receiver begins while the sender goes on.</summary>
    private const uint BytesPerRun = 256 << 10;

    /// <inheritdoc/>
    public void Run(Connection* c)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (c->SocketError != 0)
        {
            return;
        }

        if (s->Has(SharedFlags.Datagram))
        {
            RunDatagrams(c, s);
            return;
        }

        if (s->Has(SharedFlags.Starved) && !c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool))
        {
            s->Clear(SharedFlags.Starved);
            if (s->Peer != null)
            {
                _host.Schedule(s->Peer->Self);
            }
        }

        Ripen(s);
        if (c->Has(ConnectionFlags.Closing))
        {
            RunClose(c, s);
            return;
        }

        switch (s->Phase)
        {
            case Phase.Listening:
                _host.FailSends(c, Libc.ENOTCONN);
                RunListener(c, s);
                break;
            case Phase.Connected:
                if (s->Has(SharedFlags.ConnectOver))
                {
                    FinishConnect(c, s);
                }

                if (s->Error == 0 && s->Peer != null && IsDirectDue(s, s->Peer))
                {
                    GoDirect(s, s->Peer);
                }

                Flush(c, s);
                if (s->Has(SharedFlags.Kicked))
                {
                    PassKick(c, s);
                }

                if (s->Has(SharedFlags.WithdrawnDue))
                {
                    s->Clear(SharedFlags.WithdrawnDue);
                    _host.Tell(c, Op.DirectNews, DirectLayout.Withdrawn); // who waits for room in the ring goes on without it
                }

                if (s->Has(SharedFlags.CountDue))
                {
                    s->Clear(SharedFlags.CountDue);
                    Count(s);
                }

                TellEnd(c, s);
                break;
            case Phase.Waiting:
                if (s->Has(SharedFlags.ConnectOver))
                {
                    FinishConnect(c, s);
                }

                break;
            default:
                _host.FailSends(c, Libc.EPIPE);
                break;
        }
    }

    /// <inheritdoc/>
    public void Shutdown(Connection* c, int how)
    {
        const int SHUT_RD = 0, SHUT_WR = 1;
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Phase == Phase.Connected && how != SHUT_WR)
        {
            s->Set(SharedFlags.ReadShut);
        }

        if (s->Has(SharedFlags.ReadShut) && s->Ends != null)
        {
            _ = LeaveRing(s); // what still comes is this stack's to judge
        }

        if (s->Phase == Phase.Connected && how != SHUT_RD)
        {
            s->Set(SharedFlags.ShutdownWanted); // SHUT_RD alone is the guest's own affair: data still comes, and recv still gives it
            _host.Schedule(c);
        }
        else if (s->Phase == Phase.Waiting && s->Listener != null)
        {
            GiveUp(s, Libc.ECONNRESET);
        }
        else if (s->Phase == Phase.Listening && how != SHUT_WR)
        {
            StopListening(s);
        }
    }

    /// <summary>Moves what is queued to the peer, as far as it has room.</summary>
    private void Flush(Connection* c, SharedSocket* s)
    {
        if (c->SendCount == 0)
        {
            return;
        }

        if (s->Error != 0 || s->Has(SharedFlags.ShutdownDone))
        {
            _host.FailSends(c, s->Error != 0 ? s->Error : Libc.EPIPE);
            return;
        }

        SharedSocket* p = s->Peer;
        if (p == null || p->Self->Has(ConnectionFlags.Closing))
        {
            if (s->Embryo == null)
            {
                MeetNobody(c, s, p);
            }

            return;
        }

        if (p->Error != 0)
        {
            _host.FailSends(c, Libc.ECONNRESET); // it was told, or will be, that the connection is reset: nothing may follow that
            return;
        }

        if (p->Has(SharedFlags.ReadShut) && p->Has(SharedFlags.ShutdownDone))
        {
            // Both ends of the receiver are shut (tcp_rcv_state_process: TCPAbortOnData): a reset for either side.
            TakeAll(c);
            Break(p, ErrorOfReset(p));
            Break(s, ErrorOfReset(s));
            return;
        }

        Connection* d = p->Self;
        if (!_host.HasRoomFor(d))
        {
            _host.Schedule(c);
            return;
        }

        Guest from = _host.GuestOf(c);
        uint left = BytesPerRun;
        do
        {
            if (d->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool)
                || !_host.TryReserve(d, PoolHalf.ClassFor(Waiting(c)), out RxBuffer buffer))
            {
                p->Set(SharedFlags.Starved); // the host schedules the receiver as soon as it has room
                if (s->Options.UserTimeout != 0)
                {
                    Stall(s, moved: left != BytesPerRun);
                }

                return;
            }

            uint filled = Fill(from, c, buffer.Start, buffer.Capacity);
            _host.Deliver(d, in buffer, filled);
            _host.Sent(c, filled);
            s->BytesSent += filled;
            p->BytesReceived += filled;
            left = left > filled ? left - filled : 0;
        }
        while (c->SendCount != 0 && left != 0);

        if (s->Has(SharedFlags.Stalled))
        {
            EndStall(s);
        }

        if (c->SendCount != 0)
        {
            _host.Schedule(c);
        }
    }

    /// <summary>Bytes that wait to be moved, as far as it takes to choose a chunk.</summary>
    private static uint Waiting(Connection* c)
    {
        uint bytes = 0;
        for (uint i = c->SendHead; i != c->SendTail && bytes <= PoolLayout.LargeBytes; i++)
        {
            bytes += c->SendAt(i).Size;
        }

        return bytes - c->SendOffset;
    }

    /// <summary>Copies the queued Sends one behind the other, as much as fits.</summary>
    private static uint Fill(Guest from, Connection* c, byte* to, uint room)
    {
        uint filled = 0;
        uint skip = c->SendOffset;
        for (uint i = c->SendHead; i != c->SendTail && filled != room; i++)
        {
            PendingSend send = c->SendAt(i);
            uint size = send.Size - skip;
            size = size < room - filled ? size : room - filled;
            System.Runtime.CompilerServices.Unsafe.CopyBlockUnaligned(to + filled, from.TxAt(send.Offset) + skip, size);
            filled += size;
            skip = 0;
        }

        return filled;
    }

    /// <summary>
    /// The peer has closed, and here is data for it: TCP takes it, and hears a reset. When the peer was closing with data that this side did not take, that data is lost, as the kernel drops it.
    /// </summary>
    private void MeetNobody(Connection* c, SharedSocket* s, SharedSocket* p)
    {
        TakeAll(c);
        Break(s, ErrorOfReset(s));
        if (p != null)
        {
            p->Set(SharedFlags.Abort);
            _host.Schedule(p->Self);
        }
    }

    /// <summary>What is queued counts as sent.</summary>
    private void TakeAll(Connection* c)
    {
        ulong bytes = 0;
        for (uint i = c->SendHead; i != c->SendTail; i++)
        {
            bytes += c->SendAt(i).Size;
        }

        _host.Sent(c, bytes - c->SendOffset);
    }

    /// <summary>What is told when nothing is left to send: the end of this side's data to the peer, an error to the own guest.</summary>
    private void TellEnd(Connection* c, SharedSocket* s)
    {
        if (s->Error != 0)
        {
            _host.Reset(c, s->Error);
            return;
        }

        if (c->SendCount == 0 && s->Has(SharedFlags.ShutdownWanted) && !s->Has(SharedFlags.ShutdownDone) && s->Embryo == null)
        {
            EndData(c, s);
        }
    }

    /// <summary>The peer gets this side's end of data (FIN); false when that has to wait for room in its rings.</summary>
    private bool EndData(Connection* c, SharedSocket* s)
    {
        if (s->Peer != null && !s->Has(SharedFlags.ShutdownDone))
        {
            Connection* d = s->Peer->Self;
            if (!_host.HasRoomFor(d))
            {
                _host.Schedule(c);
                return false;
            }

            if (s->Peer->Error == 0)
            {
                _host.PeerClosed(d);
            }
        }

        s->Set(SharedFlags.ShutdownDone);
        return true;
    }
}
