using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <content>
/// Guests of this host that talk to each other, by whatever NSM: what one asks for because of the other does that other no harm that it has not asked for itself. The word of the one that asks is not
/// enough: a guest that storms against another's address would make it a peer. That other must have accepted a connection from it, or made one to it.
/// </content>
internal sealed unsafe partial class SwitchLoop
{
    private readonly Neighbours _byAddress = new();

    /// <summary>A guest connects to, or has accepted a connection from, that address.</summary>
    private void Talks(GuestPort guest, ulong low, ulong high)
    {
        if (_guestCount > 1 && _byAddress.Find(low ^ high) is { } other && other != guest && other.Address.Is(low, high))
        {
            guest.Own.Peers.Add(other.Id, _now);
        }
    }

    /// <summary>Whether a request is about a connection with that guest, which has talked to the one that asks.</summary>
    private bool IsBetween(GuestPort guest, Nqe* e, GuestPort other, ulong now)
    {
        if (!other.Own.Peers.Has(guest.Id, now))
        {
            return false;
        }

        if (e->Op == Op.Connect)
        {
            return other.Address.Is(e->OpData, e->DataPtr);
        }

        if (e->Op is Op.Accept or Op.Decline)
        {
            return FindAnnounced(guest, e, out SocketMemory* memory, out int announced) && other.Address.Is(memory->PeerLow[announced], memory->PeerHigh[announced]);
        }

        uint id = e->Socket < guest.Sockets ? guest.Map[e->Socket] - 1 : uint.MaxValue;
        return id < ConnectionTable.Capacity && other.Address.Is(_table.Rows[id].PeerLow, _table.Rows[id].PeerHigh);
    }

    /// <summary>The connection that an Accept or Decline, as the guest has put it, is about; false: none that this loop knows.</summary>
    private bool FindAnnounced(GuestPort guest, Nqe* e, out SocketMemory* memory, out int announced)
    {
        memory = null;
        announced = -1;
        ulong listener = e->Op == Op.Accept ? e->DataPtr : e->Socket;
        uint entry = listener < guest.Sockets ? guest.Map[listener] : 0;
        if (entry is 0 or GuestPort.Refused)
        {
            return false;
        }

        NsmPort? by = (e->OpData & SharedHandle) != 0 ? guest.Shared : guest.Nsms[(int)(e->OpData >> OwnShift & 3) % GuestPort.MaxOwn];
        uint announcer = AnnouncerOf(entry - 1, by);
        if (announcer == 0 || (_table.Items[announcer - 1].Flags & ConnectionFlags.HasMemory) == 0)
        {
            return false;
        }

        memory = _table.Memories + (announcer - 1);
        announced = memory->Find(e->OpData & HandleMask);
        return announced >= 0;
    }
}
