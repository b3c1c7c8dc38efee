using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>
/// The direct form (docs/adr/0013): a connection that moves data, where policy allows it, gets rings that both guests map. From then on this stack sees its beginning and its end, kicks for sleepers, and how
/// much was moved. What it reads in the rings' indices are the guests' claims: they decide nothing but how their own connection ends.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    /// <summary>A connection that has moved so many times, or so many bytes, is worth a region.</summary>
    private const uint UsualMoves = 8, DirectAfterBytes = 64 << 10;

    private readonly uint _directAfter;

    private SharedSocket* _firstDirect;

    /// <summary>The regions, for whoever hands them to the guests.</summary>
    public DirectRegions Regions { get; } = new();

    /// <inheritdoc/>
    public void Nudge(Connection* c, bool data)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Ends == null)
        {
            return;
        }

        s->Set(SharedFlags.Kicked | (data ? SharedFlags.KickedData : 0));
        _host.Schedule(c);
    }

    /// <summary>Whether it is time to go over to the direct form; asked whenever the connection has its turn.</summary>
    private bool IsDirectDue(SharedSocket* s, SharedSocket* p) =>
        s->Ends == null && !_reach.IsLimited(s->Self->GuestId) && !_reach.IsLimited(p->Self->GuestId) && (s->Has(SharedFlags.MayDirect) || p->Has(SharedFlags.MayDirect)) && !s->Has(SharedFlags.DirectTried)
        && (_directAfter == 0 || (s->Self->SendCount != 0 && (++s->Moves > _directAfter || s->BytesSent > DirectAfterBytes)))
        && p->Error == 0 && !p->Self->Has(ConnectionFlags.Closing | ConnectionFlags.ResetTold) && _host.HasRoomFor(p->Self);

    private void GoDirect(SharedSocket* s, SharedSocket* p)
    {
        s->Set(SharedFlags.DirectTried);
        p->Set(SharedFlags.DirectTried);
        uint me = s->Self->GuestId, other = p->Self->GuestId;
        DirectRegion? region = Regions.Of(me, other);
        if (region == null || !region.TryTake(out uint connection))
        {
            return; // by copies, as before
        }

        s->Mate = p;
        p->Mate = s;
        Enter(s, region, connection, me == region.Second ? 1u : 0);
        Enter(p, region, connection, other == region.Second ? 1u : 0);
    }

    private void Enter(SharedSocket* s, DirectRegion region, uint connection, uint side)
    {
        s->Ends = region.EndsOf(connection);
        s->Side = side;
        s->Region = DirectPlace.IndexOf(region.Place);
        s->Connection = connection;
        s->CountedSent = s->CountedReceived = 0;
        s->StalledAt = 0;
        s->Ends[side].ReceiveLimit = _host.ReceiveLimitOf(s->Self);
        s->PreviousDirect = null;
        s->NextDirect = _firstDirect;
        if (_firstDirect != null)
        {
            _firstDirect->PreviousDirect = s;
        }

        _firstDirect = s;
        ArmTimer();
        _host.Tell(s->Self, Op.Direct, region.Place | ((ulong)DirectPlace.End(connection, side) << 32));
    }

    /// <summary>Nobody reads at this end any more: what the peer sends from now on comes by this stack. True when there is something that was not read.</summary>
    private static bool LeaveRing(SharedSocket* s)
    {
        if (s->Ends == null)
        {
            return false;
        }

        Volatile.Write(ref s->Ends[s->Side].Gone, 1);

        // Pairs with the sender's fence between its tail and its look at Gone: either it sees that nobody reads, or its data is seen here.
        Interlocked.MemoryBarrier();
        return Volatile.Read(ref s->Ends[1 - s->Side].Tail) != Volatile.Read(ref s->Ends[s->Side].Head);
    }

    /// <summary>The socket is finished with its ring; the connection's place is free once both are.</summary>
    private void LeaveDirect(SharedSocket* s)
    {
        if (s->Ends == null)
        {
            return;
        }

        _ = LeaveRing(s);
        if (s->PreviousDirect != null)
        {
            s->PreviousDirect->NextDirect = s->NextDirect;
        }
        else
        {
            _firstDirect = s->NextDirect;
        }

        if (s->NextDirect != null)
        {
            s->NextDirect->PreviousDirect = s->PreviousDirect;
        }

        ArmTimer();
        SharedSocket* p = s->Mate;
        s->Ends = null;
        if (p != null)
        {
            p->Mate = null;
        }
        else
        {
            Regions.GiveBack(s->Region, s->Connection);
        }
    }

    /// <summary>What a kick asked for.</summary>
    private void PassKick(Connection* c, SharedSocket* s)
    {
        bool data = s->Has(SharedFlags.KickedData);
        SharedSocket* p = s->Peer;
        if (p == null || p->Self->Has(ConnectionFlags.Closing) || (s->Ends != null && s->Ends[1 - s->Side].Gone != 0))
        {
            s->Clear(SharedFlags.Kicked | SharedFlags.KickedData);
            if (data && s->Embryo == null && s->Error == 0 && !s->Has(SharedFlags.ShutdownDone))
            {
                Break(s, ErrorOfReset(s)); // it wrote into the ring of one who has closed: as MeetNobody
            }

            return;
        }

        if (!_host.HasRoomFor(p->Self))
        {
            _host.Schedule(c);
            return;
        }

        s->Clear(SharedFlags.Kicked | SharedFlags.KickedData);
        _host.Tell(p->Self, Op.DirectNews);
    }

    /// <summary>Tells CoreEngine how much was moved since the last time.</summary>
    private void Count(SharedSocket* s)
    {
        uint sent = Volatile.Read(ref s->Ends[s->Side].Tail) - s->CountedSent;
        uint received = Volatile.Read(ref s->Ends[s->Side].Head) - s->CountedReceived;
        if ((sent | received) == 0)
        {
            return;
        }

        s->CountedSent += sent;
        s->CountedReceived += received;
        s->BytesSent += sent;
        s->BytesReceived += received;
        _host.Tell(s->Self, Op.Moved, sent, received);
    }

    /// <summary>Now and then: connections that have moved something are to say so, and those of guests that have got a limit leave the direct form.</summary>
    private void LookAtDirect()
    {
        for (SharedSocket* s = _firstDirect; s != null; s = s->NextDirect)
        {
            if (s->Has(SharedFlags.Withdrawn))
            {
                Watch(s);
            }
            else if (s->Mate != null && (_reach.IsLimited(s->Self->GuestId) || _reach.IsLimited(s->Mate->Self->GuestId)))
            {
                Withdraw(s);
                Withdraw(s->Mate);
            }

            if (s->Options.UserTimeout != 0 && s->Peer != null && s->Error == 0)
            {
                LookForStall(s);
            }

            if (s->Ends[s->Side].Tail != s->CountedSent || s->Ends[s->Side].Head != s->CountedReceived)
            {
                s->Set(SharedFlags.CountDue);
                _host.Schedule(s->Self);
            }
        }
    }

    /// <summary>What a guest sends on this connection from now on goes by this stack, behind what lies in the ring; it says itself where that ends (<see cref="DirectEnd.Stopped"/>).</summary>
    private void Withdraw(SharedSocket* s)
    {
        s->Set(SharedFlags.Withdrawn | SharedFlags.WithdrawnDue);
        s->WithdrawnAt = Volatile.Read(ref s->Ends[s->Side].Tail);
        Volatile.Write(ref s->Ends[s->Side].Withdrawn, 1);
        _host.Schedule(s->Self);
    }

    /// <summary>Who was just writing may write that to its end. Who has moved more than a ring's worth since has not heard, or does not want to: such a connection is reset.</summary>
    private void Watch(SharedSocket* s)
    {
        uint written = Volatile.Read(ref s->Ends[s->Side].Tail) - s->WithdrawnAt, read = Volatile.Read(ref s->Ends[1 - s->Side].Head) - s->WithdrawnAt;
        bool behind = (int)read < 0; // the peer still reads what was written before
        if ((written > DirectLayout.RingBytes || (!behind && read > DirectLayout.RingBytes)) && s->Error == 0)
        {
            Break(s, Libc.ECONNRESET);
            if (s->Peer != null)
            {
                Break(s->Peer, Libc.ECONNRESET);
            }
        }
    }
}
