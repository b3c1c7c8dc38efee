using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Which NSMs serve a guest, and by what rules, as the control plane says while the guest runs (docs/adr/0010).</summary>
internal sealed unsafe partial class Engine
{
    private void UseNsm(EnginePeer peer, ref AttachMessage message)
    {
        if (!_guests.TryGetValue(message.Guest, out Guest? guest) || guest.IsTornDown)
        {
            Reply(peer, message, Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        if (message.Nsm == SwitchLoop.SharedNsm || !_nsms.TryGetValue(message.Nsm, out Nsm? nsm))
        {
            Reply(peer, message, Libc.ENOENT, $"no NSM {message.Nsm}");
            return;
        }

        int part = guest.PartOf(nsm.Id);
        if (part >= 0)
        {
            bool leaving = guest.Leaving[part];
            Reply(peer, message, leaving ? Libc.EAGAIN : 0, leaving ? $"NSM {nsm.Name} is still letting go of guest {guest.Name}" : "");
            return;
        }

        if (!guest.HasParts || guest.TryTakePart(nsm.Id) is not { } taken)
        {
            Reply(
                peer, message, guest.HasParts ? Libc.EBUSY : Libc.EOPNOTSUPP,
                guest.HasParts ? $"{GuestPort.MaxOwn} NSMs serve guest {guest.Name} already: one must be drained first" : "guests in host mode have one NSM: all of them share the host's stack");
            return;
        }

        Log.Info("guest-uses", ("guest", guest.Name), ("nsm", nsm.Id), ("part", taken));
        if (nsm.Peer != null)
        {
            guest.WaitingUse = (peer, nsm.Id); // answered when the NSM has mapped the pool
            Introduce(nsm, guest);
        }
        else
        {
            Reply(peer, message, 0, "");
        }
    }

    private void LeaveNsm(EnginePeer peer, ref AttachMessage message)
    {
        uint id = message.Nsm;
        int part = -1;
        if (_guests.TryGetValue(message.Guest, out Guest? guest) && !guest.IsTornDown)
        {
            part = guest.PartOf(id);
        }

        if (part < 0 || guest!.Leaving[part])
        {
            Reply(peer, message, Libc.ENOENT, $"NSM {id} does not serve guest {message.Guest}");
            return;
        }

        OnLoops(loop => loop.Leave(guest.Id, id));
        AnswerUse(guest, id, Libc.ENOENT, "given up again before the NSM had answered");
        if (_nsms.TryGetValue(id, out Nsm? nsm) && nsm.Peer != null)
        {
            guest.Leaving[part] = true;
        }
        else
        {
            guest.FreePart(part);
        }

        Withdraw(guest, id);
        Log.Info("guest-left", ("guest", guest.Name), ("nsm", id));
        Reply(peer, message, 0, "");
    }

    private void SetRule(EnginePeer peer, ref AttachMessage message)
    {
        if (!_guests.TryGetValue(message.Guest, out Guest? guest) || guest.IsTornDown)
        {
            Reply(peer, message, Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        string? problem = message.Flags is 0 or > RuleMessage.MaxRules ? $"a guest has 1 to {RuleMessage.MaxRules} rules"
            : message.Slot >= message.Flags || message.Slot != (message.Slot == 0 ? 0 : (uint)guest.NewRules.Count) ? "rules come in order"
            : FlowRules.Problem(message.Rule);
        if (problem != null)
        {
            Reply(peer, message, Libc.EINVAL, problem);
            return;
        }

        if (message.Slot == 0)
        {
            guest.NewRules.Clear();
        }

        guest.NewRules.Add(message.Rule);
        if (message.Slot + 1 == message.Flags)
        {
            var rules = new FlowRules([.. guest.NewRules]);
            guest.NewRules.Clear();
            OnLoops(loop => loop.SetRules(guest.Id, rules));
            Log.Info("rules", ("guest", guest.Name), ("count", message.Flags));
        }

        Reply(peer, message, 0, "");
    }

    private void TellNextUse(EnginePeer peer, ref AttachMessage message)
    {
        uint next = 0;
        if (_guests.TryGetValue(message.Guest, out Guest? guest) && !guest.IsTornDown)
        {
            for (int part = 0; part < GuestPort.MaxOwn; part++)
            {
                uint id = guest.Own[part];
                next = id > message.Nsm && !guest.Leaving[part] && (next == 0 || id < next) ? id : next;
            }
        }

        if (next == 0)
        {
            Reply(peer, message, Libc.ENOENT, "");
            return;
        }

        uint count = 0;
        uint guestId = message.Guest;
        uint moving = 0;
        OnLoops(loop =>
        {
            _ = Interlocked.Add(ref count, loop.CountUse(guestId, next));
            _ = Interlocked.Add(ref moving, loop.CountMoving(guestId));
        });
        AttachMessage answer = default;
        answer.Op = message.Op;
        answer.Guest = guestId;
        answer.Nsm = next;
        answer.Slot = count;
        answer.Flags = moving;
        Reply(peer, answer, 0, "");
    }

    /// <summary>Answers a UseNsm that waits for this NSM, if there is one.</summary>
    private static void AnswerUse(Guest guest, uint nsm, int error, string text)
    {
        if (guest.WaitingUse is { } waiting && waiting.Nsm == nsm)
        {
            guest.WaitingUse = null;
            AttachMessage answer = default;
            answer.Op = AttachOp.UseNsm;
            answer.Guest = guest.Id;
            answer.Nsm = nsm;
            Reply(waiting.Peer, answer, error, text);
        }
    }
}
