using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// The way from a guest to its NSM. Every NQE is copied out of shared memory once and checked in the copy (runs of Sends in registers, see
/// SwitchLoop.Bulk.cs). What cannot go on because the NSM's ring is full stays in the guest's ring.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private uint DrainJobRing(GuestPort guest, uint q, QueueSetPort* set)
    {
        uint n = set->Job.Peek(_batch, Batch);
        n = guest.IsLimited && n != 0 ? OperationsLeft(guest, n) : n;
        if (n == 0)
        {
            if (set->Job.IsBroken)
            {
                Violate(guest, Violation.JobRingIndex, q, 0);
            }

            return 0;
        }

        uint done = 0;
        while (done < n && guest.Budget > 0 && !guest.Dead)
        {
            int cost = CostOf(_batch[done].Op);
            ulong served = _served;
            uint tokens = TokensOf(_batch + done);
            if (!MayAsk(guest, q, _batch + done) || !Request(guest, q, _batch + done, job: true))
            {
                break;
            }

            Spend(guest, cost);
            Ask(guest, _served != served ? cost : 0, _served != served ? tokens : 1);
            done++;
        }

        _stalled |= done < n && guest.Budget > 0 && !guest.Throttled;
        TakeOperations(guest, done);
        set->Job.Release(done);
        guest.Counters->NqesFromGuest += done;
        return done;
    }

    private uint DrainSendRing(GuestPort guest, uint q, QueueSetPort* set)
    {
        uint n = set->Send.Window(0, Batch, out Nqe* first);
        n = guest.IsLimited && n != 0 ? OperationsLeft(guest, n) : n;
        if (n == 0)
        {
            if (set->Send.IsBroken)
            {
                Violate(guest, Violation.SendRingIndex, q, 0);
            }

            return 0;
        }

        uint done = 0;
        while (done < n && guest.Budget > 0 && !guest.Dead)
        {
            // Runs of Sends are the bulk of all traffic. This look is only a hint: what counts is what ForwardSends reads.
            if (first[done].Op == Op.Send && NsmHint(guest, first + done) is { } nsm)
            {
                uint run = ForwardWithin(guest, nsm, q, first + done, Math.Min(n - done, (uint)guest.Budget));
                done += run;
                Spend(guest, (int)run);
                if (run != 0)
                {
                    continue;
                }
            }

            *_batch = first[done];
            int cost = CostOf(_batch->Op);
            bool data = _batch->Op is Op.Send or Op.RxCredit or Op.Kick;
            ulong forwarded = _forwarded, served = _served;
            uint tokens = TokensOf(_batch);
            if (((!data || guest.Junk) && !MayAsk(guest, q, _batch)) || !Request(guest, q, _batch, job: false))
            {
                break;
            }

            Spend(guest, cost);
            if (!data)
            {
                Ask(guest, _served != served ? cost : 0, _served != served ? tokens : 1);
            }
            else if (forwarded == _forwarded)
            {
                guest.Junk = true; // data that went nowhere: refused, or for a connection that is no more
                Ask(guest, 0, tokens: 1);
            }

            done++;
        }

        _stalled |= done < n && guest.Budget > 0 && !guest.Throttled;
        TakeOperations(guest, done);
        set->Send.Release(done);
        guest.Counters->NqesFromGuest += done;
        return done;
    }

    /// <summary>The NSM of the socket that a Send in the guest's ring seems to be about. Only a hint: what counts is what ForwardSends reads.</summary>
    private NsmPort? NsmHint(GuestPort guest, Nqe* e)
    {
        uint socket = e->Socket;
        uint id = socket < guest.Sockets ? guest.Map[socket] - 1 : uint.MaxValue;
        return id < ConnectionTable.Capacity ? _nsms[_table.Items[id].Nsm] : null;
    }

    private void SendStaged(NsmPort nsm)
    {
        nsm.SendStaged = true;
        if (!nsm.Active)
        {
            Activate(nsm);
        }
    }

    /// <summary>Puts a checked request into one of the NSM's rings; false when it is full.</summary>
    private bool Forward(GuestPort guest, uint q, uint id, Nqe* e, bool job)
    {
        NsmPort nsm = _nsms[_table.Items[id].Nsm]!;
        Nqe* slot = job ? nsm.Job.TryStage() : nsm.Send.TryStage();
        if (slot == null)
        {
            BreakIf(nsm, job ? nsm.Job.IsBroken : nsm.Send.IsBroken);
            return false;
        }

        *slot = *e;
        slot->Socket = id;
        slot->VmLow = guest.VmLow;
        slot->VmHigh = guest.VmHigh;
        slot->QueueSet = (byte)q;
        nsm.JobStaged |= job;
        nsm.SendStaged |= !job;
        if (!nsm.Active)
        {
            Activate(nsm);
        }

        _forwarded++;
        _served += nsm.Id == SharedNsm ? 0u : 1;
        guest.StagedNsms |= 1ul << (int)nsm.Id;
        nsm.Counters->NqesToNsm++;
        guest.Shares[nsm.Id].NqesToNsm++;
        _table.Rows[id].Nqes++;
        return true;
    }

    /// <summary>Takes the guest out of the game. Always true, so that callers can return it: the request needs no more attention.</summary>
    private bool Violate(GuestPort guest, Violation what, uint q, ulong detail)
    {
        if (!guest.Dead)
        {
            guest.Dead = true;
            guest.ViolationQueueSet = q;
            guest.ViolationDetail = detail;
            System.Threading.Volatile.Write(ref guest.ViolationCode, (uint)what);
            CallControl();
        }

        return true;
    }

    private void BreakIf(NsmPort nsm, bool broken)
    {
        if (broken && !nsm.Broken)
        {
            System.Threading.Volatile.Write(ref nsm.Broken, true);
            CallControl();
        }
    }

    /// <summary>Answers a request in the NSM's stead, with an errno; ops that have no answer are dropped.</summary>
    private void Answer(GuestPort guest, uint q, Nqe* e, int errno)
    {
        guest.Counters->Refused++;
        Nqe answer = default;
        answer.Op = (Op)((byte)e->Op | 0x80);
        answer.Socket = e->Socket;
        answer.VmLow = guest.VmLow;
        answer.VmHigh = guest.VmHigh;
        answer.QueueSet = (byte)q;
        switch (e->Op)
        {
            case Op.Send:
                answer.DataPtr = e->DataPtr;
                answer.Size = e->Size;
                answer.OpData = (uint)errno;
                answer.Flags = e->Flags & NqeFlags.Sync;
                Complete(guest, q, &answer, loud: false);
                break;
            case Op.SetOption when (e->Flags & NqeFlags.Sync) == 0:
                break;
            case Op.Bind or Op.Listen or Op.Connect or Op.GetOption or Op.SetOption:
                answer.Size = (uint)errno;
                Complete(guest, q, &answer, loud: true);
                break;
            case Op.Accept:
                answer.Size = (uint)errno;
                Complete(guest, q, &answer, loud: false);
                break;
            default:
                break;
        }
    }
}
