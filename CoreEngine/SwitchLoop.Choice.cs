using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>Which of the guest's own NSMs serves a socket. Decided once, by the first request that says what the socket is for; listeners follow when the answer changes (Moves).</content>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Bits 29 and 30 of a handle, as the guest is told of it: the part of the guest's NSM that announced it. NSMs leave these bits alone.</summary>
    private const int OwnShift = 29;

    /// <summary>What of a handle is the NSM's.</summary>
    private const uint HandleMask = (1u << OwnShift) - 1;

    /// <summary>Connections that each of a guest's own NSMs may have announced for one listener: two of them, and the shared-memory NSM, fill the guest's queue.</summary>
    public const uint AnnouncedOwn = (SocketSlot.AcceptEntries - AnnouncedShared) / 2;

    /// <summary>From now on connections go by these rules, and listeners move to where they say.</summary>
    public void SetRules(uint guest, FlowRules rules)
    {
        if (_guests[guest] is { Dead: false } port)
        {
            port.Rules = rules;
            Reconsider(port);
        }
    }

    /// <summary>
    /// Connections of a guest at an NSM, those included that it has announced and nobody has accepted. Listeners and datagram sockets are not counted: they go on elsewhere when it is left.
    /// </summary>
    public uint CountUse(uint guest, uint nsm)
    {
        const ConnectionFlags Not = ConnectionFlags.Listening | ConnectionFlags.Ghost | ConnectionFlags.Second | ConnectionFlags.Elder | ConnectionFlags.Unmade
            | ConnectionFlags.Datagram;
        uint count = 0;
        for (uint id = 0; id < _table.High; id++)
        {
            Connection* connection = _table.Items + id;
            bool there = connection->Guest == guest && connection->Nsm == nsm && connection->Phase is Phase.Active or Phase.Closing;
            count += !there ? 0 : (connection->Flags & Not) == 0 ? 1u
                : (connection->Flags & ConnectionFlags.Listening) != 0 && (connection->Flags & ConnectionFlags.HasMemory) != 0 ? _table.Memories[id].Announced : 0;
        }

        return count;
    }

    /// <summary>Sockets of a guest that are just being made at the NSM where they belong.</summary>
    public uint CountMoving(uint guest)
    {
        uint count = _guests[guest] is { } port && (port.Replaying || port.MovesAgain) ? 1u : 0;
        for (uint id = 0; id < _table.High; id++)
        {
            Connection* connection = _table.Items + id;
            count += connection->Guest == guest && connection->Phase == Phase.Active && connection->Replay != 0 ? 1u : 0;
        }

        return count;
    }

    private static NsmPort? AnyOf(GuestPort guest)
    {
        foreach (NsmPort? nsm in guest.Nsms)
        {
            if (nsm != null)
            {
                return nsm;
            }
        }

        return null;
    }

    /// <summary>The guest's NSMs, or its rules, have changed.</summary>
    private void Reconsider(GuestPort guest)
    {
        guest.Nsm = guest.Rules is { } rules ? rules.Choose(guest.Nsms, FlowRules.Tcp, toPeer: false, 0, 0, 0) : AnyOf(guest);
        guest.Replaying = AnyOf(guest) != null;
        guest.ReplayNext = 0;
        Activate(guest);
    }

    private NsmPort? Choose(GuestPort guest, uint id, Connection* connection, Nqe* e)
    {
        if (guest.Rules is not { } rules)
        {
            return guest.Nsm;
        }

        uint protocol = (connection->Flags & ConnectionFlags.Datagram) != 0 ? FlowRules.Udp : FlowRules.Tcp;
        if (e != null && e->Op == Op.Connect)
        {
            return rules.Choose(guest.Nsms, protocol, toPeer: true, e->OpData, e->DataPtr, e->Aux);
        }

        bool bound = (connection->Flags & ConnectionFlags.HasMemory) != 0 && _table.Memories[id].Bind.Op == Op.Bind;
        ushort port = e != null && e->Op == Op.Bind ? e->Aux : bound ? _table.Memories[id].Bind.Aux : (ushort)0;
        return rules.Choose(guest.Nsms, protocol, toPeer: false, 0, 0, port);
    }

    /// <summary>
    /// Makes a socket known to the NSM that is to serve it, with its options, because of a request. False: the request is <paramref name="settled"/> (nobody serves it: ENETDOWN), or has to
    /// wait because the ring has no room for all that and one more.
    /// </summary>
    private bool Make(GuestPort guest, uint q, uint id, Connection* connection, Nqe* e, out bool settled)
    {
        settled = false;
        if (Choose(guest, id, connection, e) is not { } nsm)
        {
            Answer(guest, q, e, Libc.ENETDOWN);
            settled = true;
            return false;
        }

        if (nsm.Job.Free(TrialRequests) < TrialRequests)
        {
            BreakIf(nsm, nsm.Job.IsBroken);
            return false;
        }

        Place(id, connection, nsm);
        connection->Flags &= ~ConnectionFlags.Unmade;
        Volatile.Write(ref guest.SlotOf(connection->Socket)->NsmEpoch, guest.RoutedEpoch);
        SetState(connection, id, connection->State);
        Introduce(guest, q, id, id, connection);
        return true;
    }

    /// <summary>A socket that no NSM knows belongs to this one.</summary>
    private void Place(uint id, Connection* connection, NsmPort nsm)
    {
        if (connection->Nsm != nsm.Id)
        {
            Unplace(id, connection);
            connection->Nsm = (byte)nsm.Id;
            _table.Rows[id].Nsm = nsm.Id;
            nsm.Counters->Open++;
        }
    }

    /// <summary>A socket that no NSM knows belongs to none: no NSM has id 0.</summary>
    private void Unplace(uint id, Connection* connection)
    {
        if (_nsms[connection->Nsm] is { } nsm)
        {
            nsm.Counters->Open--;
        }

        connection->Nsm = 0;
        _table.Rows[id].Nsm = 0;
    }

    private static uint OwnHandle(GuestPort guest, NsmPort nsm) => (uint)Math.Max(0, guest.PartOf(nsm)) << OwnShift;

    /// <summary>Which entry of a listener has announced a connection that this NSM knows, plus 1; 0: none any more.</summary>
    private uint AnnouncerOf(uint listener, NsmPort? by)
    {
        Connection* connection = _table.Items + listener;
        uint elder = connection->Elder;
        uint twin = connection->Twin;
        return by == null ? 0
            : connection->Nsm == by.Id ? listener + 1
            : elder != 0 && _table.Items[elder - 1].Nsm == by.Id ? elder
            : twin != 0 && _table.Items[twin - 1].Nsm == by.Id ? twin
            : 0;
    }
}
