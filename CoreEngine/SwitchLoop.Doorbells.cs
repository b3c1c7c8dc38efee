using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// Who of a guest's processes is woken. A queue set of one process: that one. One that several share (a server's children on the connections that
/// their parent accepted): the holders of the sockets that there is news of, so that a hundred sleeping processes cost nothing while one works.
/// What the guest writes into its masks decides only which of its own processes run.
/// </summary>
internal sealed unsafe partial class SwitchLoop
{
    private static void Ring(GuestPort guest)
    {
        if (!guest.Dead)
        {
            ProcessMask wake = default;
            guest.TouchedCompletion.Add(guest.TouchedReceive);
            for (uint q = guest.TouchedCompletion.Next(0); q != ProcessMask.None; q = guest.TouchedCompletion.Next(q + 1))
            {
                Choose(guest, q, ref wake);
            }

            Ring(guest, ref wake);
        }

        guest.TouchedCompletion = default;
        guest.TouchedReceive = default;
        guest.Loud = default;
        guest.IsTouched = false;
    }

    /// <summary>Adds those who have to know what was published on a queue set.</summary>
    private static void Choose(GuestPort guest, uint q, ref ProcessMask wake)
    {
        QueueSetPort* set = guest.Sets + q;
        uint completions = set->CompletionRung;
        uint events = set->ReceiveRung;
        set->CompletionRung = set->CompletionProduced;
        set->ReceiveRung = set->ReceiveProduced;
        QueueSetHeader* header = guest.QueueSetOf(q);

        // In this order: who gives space raises SpaceGiven and then takes the wish away. What it had drained by now may be what was published just before.
        bool wantsSpace = Volatile.Read(ref header->WantsSpace) != 0;
        uint given = Volatile.Read(ref header->SpaceGiven);
        wantsSpace |= given != set->SpaceGiven;
        set->SpaceGiven = given;
        if (!guest.Loud.Has(q) && !wantsSpace)
        {
            return; // quiet ones: who comes to want space looks before it sleeps
        }

        ProcessMask subscribers = header->Subscribers;
        if (subscribers.IsSingle || guest.Parked.Has(q)
            || !TryHolders(guest, ref set->Completion, completions, set->CompletionProduced, wantsSpace, ref wake)
            || !TryHolders(guest, ref set->Receive, events, set->ReceiveProduced, wantsSpace, ref wake))
        {
            wake.Add(subscribers);
        }
    }

    /// <summary>Adds the holders of the sockets that a stretch of a ring names; false when one has none: then somebody waits for its end.</summary>
    private static bool TryHolders(GuestPort guest, ref RingProducer ring, uint from, uint to, bool wantsSpace, ref ProcessMask wake)
    {
        uint last = uint.MaxValue;
        for (; from != to; from++)
        {
            Nqe* e = ring.At(from);
            uint socket = e->Socket;
            bool quiet = e->Op is Op.SendDone or Op.Closed or Op.AcceptDone && (from + 1) % MostQuiet != 0;
            if (socket == last || (quiet && !wantsSpace))
            {
                continue;
            }

            last = socket;
            ProcessMask holders = socket < guest.Sockets ? guest.SlotOf(socket)->Holders : default;
            if (holders.IsEmpty)
            {
                return false;
            }

            wake.Add(holders);
        }

        return true;
    }

    private static void Ring(GuestPort guest, ref ProcessMask processes)
    {
        for (uint slot = processes.Next(0); slot < guest.QueueSets; slot = processes.Next(slot + 1))
        {
            guest.Counters->DoorbellsRung += guest.Nudge(slot) ? 1u : 0;
        }
    }
}
