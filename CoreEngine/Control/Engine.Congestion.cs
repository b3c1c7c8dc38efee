using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>The congestion control that a guest's sockets have when their program chooses none: passed on to the guest's NSMs, whose answers go back to the control plane.</summary>
internal sealed unsafe partial class Engine
{
    private void SetCongestion(EnginePeer peer, ref AttachMessage message)
    {
        if (!_guests.TryGetValue(message.Guest, out Guest? guest) || guest.IsTornDown)
        {
            Reply(peer, message, Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        ReplyCongestion(guest); // to who asked before, if that has not been answered yet
        guest.Congestion = Guest.CongestionIn(message);
        Log.Info("congestion", ("guest", guest.Name), ("name", guest.Congestion));
        guest.WaitingCongestion = peer;
        foreach (Nsm nsm in _nsms.Values)
        {
            if (nsm.Peer != null && nsm.Id != guest.SharedId && guest.Uses(nsm.Id))
            {
                nsm.Asked.Add((AttachOp.GuestChanged, guest.Id));
                nsm.Peer.Send(guest.MessageWithCongestion(AttachOp.GuestChanged));
            }
        }

        AnswerCongestion(guest);
    }

    /// <summary>An NSM has said whether it has what a guest is to have.</summary>
    private void TellCongestion(Nsm nsm, Guest guest, string problem)
    {
        if (nsm.Id == guest.SharedId)
        {
            return;
        }

        if (problem.Length > 0)
        {
            Log.Warn("congestion-not-in-force", ("guest", guest.Name), ("nsm", nsm.Id), ("reason", problem));
        }

        AttachMessage told = guest.Message(AttachOp.CongestionTold);
        told.Nsm = nsm.Id;
        Tell(told, problem);
    }

    /// <summary>Answers SetCongestion when no NSM's answer is out any more.</summary>
    private void AnswerCongestion(Guest? guest)
    {
        if (guest?.WaitingCongestion == null)
        {
            return;
        }

        foreach (Nsm nsm in _nsms.Values)
        {
            if (nsm.Peer != null && nsm.Asked.Contains((AttachOp.GuestChanged, guest.Id)))
            {
                return;
            }
        }

        ReplyCongestion(guest);
    }

    private static void ReplyCongestion(Guest guest)
    {
        if (guest.WaitingCongestion is { } waiting)
        {
            guest.WaitingCongestion = null;
            Reply(waiting, guest.Message(AttachOp.SetCongestion), 0, "");
        }
    }
}
