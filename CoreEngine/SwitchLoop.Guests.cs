using System.Diagnostics;
using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>Guests come and go. Called by commands.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>Takes a guest's queue sets into the loop.</summary>
    public void AddGuest(GuestPort guest)
    {
        foreach (GuestPort? other in _guests)
        {
            other?.Own.Peers.Remove(guest.Id);
        }

        _guests[guest.Id] = guest;
        _byAddress.Add(guest);
        _guestCount++;
        Clear(guest);
        guest.Counters->Since = (ulong)Stopwatch.GetTimestamp();
        guest.IsLimited = guest.Own.HasRates || guest.Tenants.HasRates;
        Volatile.Write(ref guest.Bell->Asleep, 1u);
        Watch(guest.BellFd, GuestTag | guest.Id);
    }

    /// <summary>
    /// Lets go of a guest. Its connections' ids stay taken until the NSM has confirmed that it has forgotten them
    /// (<see cref="FreeZombies"/>), because it may still speak of them.
    /// </summary>
    public void RemoveGuest(uint id)
    {
        GuestPort? guest = _guests[id];
        if (guest == null)
        {
            return;
        }

        guest.Dead = true;
        if (!guest.Muted)
        {
            Unwatch(guest.BellFd);
        }

        for (uint socket = 0; socket < guest.Sockets; socket++)
        {
            uint entry = guest.Map[socket] - 1;
            if (entry >= ConnectionTable.Capacity)
            {
                continue;
            }

            Connection* connection = _table.Items + entry;
            connection->Twin = 0;
            if (connection->Phase == Phase.Dead || (connection->Flags & ConnectionFlags.Down) != 0)
            {
                connection->Phase = Phase.Dead;
                Forget(entry, connection);
                continue;
            }

            connection->Phase = Phase.Zombie;
            SetState(connection, entry, ConnectionState.Closing);
        }

        RemoveSeconds(id);
        _byAddress.Remove(guest);
        if (!guest.Parked.IsEmpty)
        {
            _parkedGuests--;
        }

        if (!guest.Deferred.IsEmpty)
        {
            _deferredGuests--;
        }

        RemoveActive(guest);
        guest.Tenants.Closed((long)guest.Counters->Open);
        Clear(guest);
        _guests[id] = null;
        _guestCount--;
    }

    private static void Clear(GuestPort guest)
    {
        *guest.Counters = default;
        new Span<NsmShare>(guest.Shares, (int)MaxNsms).Clear();
    }

    /// <summary>The NSM has confirmed that it knows nothing of the guest any more: what it said before is read and dropped, then the ids are free.</summary>
    public void FreeZombies(uint guest, uint nsm)
    {
        if (_nsms[nsm] is { } port)
        {
            for (uint round = 0; round < 256 && DrainNsm(port); round++)
            {
            }

            PurgeCloses(port);
        }

        for (uint id = 0; id < _table.High; id++)
        {
            Connection* connection = _table.Items + id;
            if (connection->Phase == Phase.Zombie && connection->Guest == guest && connection->Nsm == nsm)
            {
                Forget(id, connection);
            }
        }
    }

    /// <summary>A process may use its queue set again: what is put into its rings is drained.</summary>
    public void Adopt(uint guest, uint slot)
    {
        if (_guests[guest] is { } port && port.Mine.Has(slot))
        {
            port.Use(slot);
            port.Sets[slot].Orphan = false;
            port.Sets[slot].Owned = true;
        }
    }

    private void PurgeCloses(NsmPort nsm)
    {
        uint next = nsm.CloseHead;
        nsm.CloseHead = 0;
        nsm.CloseTail = 0;
        while (next != 0)
        {
            uint id = next - 1;
            Connection* connection = _table.Items + id;
            next = connection->NextClose;
            if (connection->Phase == Phase.Closing)
            {
                QueueClose(nsm, id, connection);
            }
        }
    }

    private void RemoveActive(GuestPort guest)
    {
        _activeCount = Remove(_active, _activeCount, guest);
        _touchedCount = Remove(_touched, _touchedCount, guest);
        guest.Active = false;
    }

    private void RemoveActive(NsmPort nsm)
    {
        _activeNsmCount = Remove(_activeNsms, _activeNsmCount, nsm);
        nsm.Active = false;
    }

    private static int Remove<T>(T[] items, int count, T item)
        where T : class
    {
        for (int i = 0; i < count; i++)
        {
            if (items[i] == item)
            {
                items[i] = items[count - 1];
                return count - 1;
            }
        }

        return count;
    }
}
