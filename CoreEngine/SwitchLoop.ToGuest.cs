using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>The way to the guest: staging, parking what does not fit, publishing once per pass, and doorbells.</summary>
internal sealed unsafe partial class SwitchLoop
{
    /// <summary>A process that sleeps is woken after so many completions that nobody waits for.</summary>
    private const uint MostQuiet = 256;

    private uint _parkedGuests;
    private uint _deferredGuests;

    /// <summary>Puts a completion into the guest's ring. A loud one wakes the guest; a quiet one only when it waits for space.</summary>
    private void Complete(GuestPort guest, uint q, Nqe* element, bool loud)
    {
        QueueSetPort* set = guest.Sets + q;
        if (set->Orphan)
        {
            Settle(guest, element);
            return;
        }

        if (set->ParkedCompletion.Count == 0)
        {
            Nqe* slot = set->Completion.TryStage();
            if (slot != null)
            {
                *slot = *element;
                set->CompletionProduced++;
                Touch(guest);
                guest.TouchedCompletion.Set(q);

                // Quiet ones gather behind a process that sleeps: now and then it gets to free what they stand for, long before the ring is full.
                if (loud || set->CompletionProduced % MostQuiet == 0)
                {
                    guest.Loud.Set(q);
                }

                return;
            }

            if (set->Completion.IsBroken)
            {
                Violate(guest, Violation.CompletionRingIndex, q, 0);
                return;
            }
        }

        Park(guest, q, ref set->ParkedCompletion, element);
    }

    /// <summary>Puts an event into the guest's receive ring.</summary>
    private void Announce(GuestPort guest, uint q, Nqe* element)
    {
        QueueSetPort* set = guest.Sets + q;
        if (set->Orphan)
        {
            return; // RX data of a socket that nobody holds goes back with its Close
        }

        if (set->ParkedReceive.Count == 0)
        {
            Nqe* slot = set->Receive.TryStage();
            if (slot != null)
            {
                *slot = *element;
                set->ReceiveProduced++;
                Touch(guest);
                guest.TouchedReceive.Set(q);
                guest.Loud.Set(q);
                return;
            }

            if (set->Receive.IsBroken)
            {
                Violate(guest, Violation.ReceiveRingIndex, q, 0);
                return;
            }
        }

        Park(guest, q, ref set->ParkedReceive, element);
    }

    private void Touch(GuestPort guest)
    {
        if (!guest.IsTouched)
        {
            guest.IsTouched = true;
            _touched[_touchedCount++] = guest;
        }
    }

    private void Park(GuestPort guest, uint q, ref ParkedList list, Nqe* element)
    {
        if (guest.Dead)
        {
            return;
        }

        guest.Lot ??= MakeLot(guest);
        if (!(ParkingLot.IsNotice(element) ? guest.Lot.TryParkNotice(ref list, element) : guest.Lot.TryPark(ref list, element)))
        {
            Violate(guest, Violation.NotDraining, q, ParkingLot.Capacity);
            return;
        }

        if (guest.Parked.IsEmpty)
        {
            _parkedGuests++;
            _lazyTicks = 0;
        }

        guest.Parked.Set(q);
        guest.Counters->Parked = guest.Lot.Count;
    }

    // The one allocation that a loop makes: once per guest that has ever failed to drain its rings.
    private static ParkingLot MakeLot(GuestPort guest) => new(guest.Sockets);

    /// <summary>
    /// An NSM is gone, before its connections are told: of what is parked for the guest, its datagrams are void, and the connections that it had announced are no more. An NSM that comes and
    /// goes while the guest does not look leaves nothing.
    /// </summary>
    private void DropParked(GuestPort guest, NsmPort nsm)
    {
        ulong own = OwnHandle(guest, nsm);
        for (uint q = guest.Parked.Next(0); q != ProcessMask.None; q = guest.Parked.Next(q + 1))
        {
            ref ParkedList list = ref guest.Sets[q].ParkedReceive;
            uint next;
            for (uint node = guest.Lot!.After(list, 0); node != 0; node = next)
            {
                next = guest.Lot.After(list, node);
                Nqe* e = guest.Lot.At(node);
                uint id = guest.Map[e->Socket] - 1;
                bool isVoid = e->Op == Op.Data ? id < ConnectionTable.Capacity && _table.Items[id].Nsm == nsm.Id && (_table.Items[id].Flags & ConnectionFlags.Datagram) != 0
                    : e->Op == Op.NewConnection && (e->Size & ~HandleMask) == own;
                if (isVoid)
                {
                    guest.Lot.Remove(ref list, node);
                }
            }
        }
    }

    /// <summary>Moves parked NQEs into rings that have room again; true when any moved. Some queue set has, or had, such.</summary>
    private bool FlushParked(GuestPort guest)
    {
        ParkingLot lot = guest.Lot!;
        uint before = lot.Count;
        for (uint q = guest.Parked.Next(0); q != ProcessMask.None && !guest.Dead; q = guest.Parked.Next(q + 1))
        {
            QueueSetPort* set = guest.Sets + q;
            while (set->ParkedCompletion.Count != 0)
            {
                Nqe* first = lot.First(set->ParkedCompletion);
                if (set->Orphan)
                {
                    Settle(guest, first);
                }
                else
                {
                    Nqe* slot = set->Completion.TryStage();
                    if (slot == null)
                    {
                        break;
                    }

                    *slot = *first;
                    set->CompletionProduced++;
                    Touch(guest);
                    guest.TouchedCompletion.Set(q);
                    guest.Loud.Set(q);
                }

                lot.RemoveFirst(ref set->ParkedCompletion);
            }

            while (set->ParkedReceive.Count != 0)
            {
                if (!set->Orphan)
                {
                    Nqe* slot = set->Receive.TryStage();
                    if (slot == null)
                    {
                        break;
                    }

                    *slot = *lot.First(set->ParkedReceive);
                    set->ReceiveProduced++;
                    Touch(guest);
                    guest.TouchedReceive.Set(q);
                    guest.Loud.Set(q);
                }

                lot.RemoveFirst(ref set->ParkedReceive);
            }

            if (set->Completion.IsBroken || set->Receive.IsBroken)
            {
                Violate(guest, set->Completion.IsBroken ? Violation.CompletionRingIndex : Violation.ReceiveRingIndex, q, 0);
            }

            if (set->ParkedCompletion.Count + set->ParkedReceive.Count == 0)
            {
                guest.Parked.Clear(q);
            }
        }

        guest.Counters->Parked = lot.Count;
        if (guest.Parked.IsEmpty)
        {
            _parkedGuests--;
        }

        return lot.Count != before;
    }

    /// <summary>Publishes what this pass has staged, and rings for those who sleep: once per ring and once per process.</summary>
    private void Flush()
    {
        uint staged = 0;
        for (int i = 0; i < _activeNsmCount; i++)
        {
            staged |= Publish(_activeNsms[i]);
        }

        for (int i = 0; i < _touchedCount; i++)
        {
            staged |= Publish(_touched[i]);
        }

        if (staged == 0)
        {
            return;
        }

        // Tails before Asleep: the sleeper writes Asleep, fences, and looks at the tails. One fence for all of them.
        Interlocked.MemoryBarrier();
        for (int i = 0; i < _activeNsmCount; i++)
        {
            NsmPort nsm = _activeNsms[i];
            if (nsm.JobStaged | nsm.SendStaged)
            {
                nsm.JobStaged = false;
                nsm.SendStaged = false;
                Ring(nsm);
            }
        }

        for (int i = 0; i < _touchedCount; i++)
        {
            Ring(_touched[i]);
        }

        _touchedCount = 0;
    }

    private static uint Publish(NsmPort nsm)
    {
        if (nsm.JobStaged)
        {
            nsm.Job.Publish();
        }

        if (nsm.SendStaged)
        {
            nsm.Send.Publish();
        }

        return nsm.JobStaged | nsm.SendStaged ? 1u : 0u;
    }

    private static uint Publish(GuestPort guest)
    {
        if (!guest.Dead)
        {
            for (uint q = guest.TouchedCompletion.Next(0); q != ProcessMask.None; q = guest.TouchedCompletion.Next(q + 1))
            {
                guest.Sets[q].Completion.Publish();
            }

            for (uint q = guest.TouchedReceive.Next(0); q != ProcessMask.None; q = guest.TouchedReceive.Next(q + 1))
            {
                guest.Sets[q].Receive.Publish();
            }
        }

        return 1;
    }

    /// <summary>Publishes and rings for one guest, outside <see cref="Flush"/>.</summary>
    private static void PublishNow(GuestPort guest)
    {
        _ = Publish(guest);
        Interlocked.MemoryBarrier(); // As in Flush.
        Ring(guest);
    }

    private static void Ring(NsmPort nsm)
    {
        if (Volatile.Read(ref nsm.Process->Asleep) == 1 && Interlocked.Exchange(ref nsm.Process->Asleep, 0u) == 1)
        {
            ulong one = 1;
            Volatile.Write(ref nsm.Process->RungOn, Libc.CpuPlusOne());
            _ = Libc.WriteFast(nsm.NsmBellFd, &one, sizeof(ulong));
            nsm.Counters->DoorbellsRung++;
        }
    }
}
