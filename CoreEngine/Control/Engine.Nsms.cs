using System.ComponentModel;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>NSMs: announced, attached, lost.</summary>
internal sealed unsafe partial class Engine
{
    private void AddNsm(EnginePeer peer, ref AttachMessage message)
    {
        string name = NameIn(ref message);
        if (message.Nsm is 0 or >= SwitchLoop.MaxNsms)
        {
            Reply(peer, message, Libc.EINVAL, $"NSM ids are 1 to {SwitchLoop.MaxNsms - 1}");
            return;
        }

        if (!_nsms.TryAdd(message.Nsm, new Nsm(message.Nsm, name)))
        {
            Reply(peer, message, Libc.EEXIST, $"NSM {message.Nsm} is there already");
            return;
        }

        Log.Info("nsm-added", ("nsm", message.Nsm), ("name", name));
        Reply(peer, message, 0, "");
    }

    private void RemoveNsm(EnginePeer peer, ref AttachMessage message)
    {
        if (!_nsms.TryGetValue(message.Nsm, out Nsm? nsm))
        {
            Reply(peer, message, Libc.ENOENT, $"no NSM {message.Nsm}");
            return;
        }

        if (nsm.Peer is { } connection)
        {
            PeerEnded(connection, "removed");
        }

        _ = _nsms.Remove(nsm.Id);
        Log.Info("nsm-removed", ("nsm", nsm.Id), ("name", nsm.Name));
        Reply(peer, message, 0, "");
    }

    private void AttachNsm(EnginePeer peer, ref AttachMessage message)
    {
        if (!_nsms.TryGetValue(message.Nsm, out Nsm? nsm))
        {
            Reply(peer, message, Libc.ENOENT, $"no NSM {message.Nsm}: the control plane has not announced it");
            return;
        }

        nsm.Peer?.Drain(); // the end of the one before may lie there unread
        if (nsm.Peer != null)
        {
            Reply(peer, message, Libc.EBUSY, $"NSM {message.Nsm} is attached already");
            return;
        }

        try
        {
            nsm.Attach(peer, (uint)_loops.Length, _stats);
        }
        catch (Win32Exception e)
        {
            Log.Error("nsm-refused", ("nsm", nsm.Id), ("reason", e.Message));
            Reply(peer, message, Libc.ENOMEM, e.Message);
            return;
        }

        OnLoops(loop => loop.AddNsm(nsm.Ports[loop.Index]));
        AttachMessage answer = message;
        answer.Error = 0;
        peer.Send(answer, nsm.Fds());
        Log.Info("nsm-attached", ("nsm", nsm.Id), ("name", nsm.Name));
        AttachMessage ready = default;
        ready.Op = AttachOp.NsmReady;
        ready.Nsm = nsm.Id;
        Tell(ready, "");
        foreach (Guest guest in _guests.Values)
        {
            if (guest.Uses(nsm.Id) && !guest.IsTornDown)
            {
                Introduce(nsm, guest);
            }
        }
    }

    private static void Introduce(Nsm nsm, Guest guest)
    {
        nsm.Asked.Add((AttachOp.GuestAdded, guest.Id));
        AttachMessage message = guest.MessageWithCongestion(AttachOp.GuestAdded);
        message.Nsm = nsm.Id;
        message.Flags |= !guest.HasParts ? 0 : RegionFlags.RxPart(nsm.Id == guest.SharedId ? RegionFlags.SharedPart : (uint)guest.PartOf(nsm.Id));
        nsm.Peer!.Send(message, guest.PoolFd);
    }

    private void NsmAnswered(Nsm nsm, ref AttachMessage message)
    {
        uint id = message.Guest;
        if (!nsm.Asked.Remove((message.Op, id)))
        {
            PeerEnded(nsm.Peer!, $"answer to a question nobody asked (message {(uint)message.Op}, guest {id})");
            return;
        }

        if (message.Op == AttachOp.GuestRemoved)
        {
            if (!nsm.Asked.Contains((AttachOp.GuestRemoved, id)))
            {
                OnLoops(loop => loop.FreeZombies(id, nsm.Id));
                if (_guests.TryGetValue(id, out Guest? gone) && gone.PartOf(nsm.Id) is >= 0 and var part && gone.Leaving[part])
                {
                    gone.FreePart(part);
                }
            }

            return;
        }

        // While a removal is under way, this is about a guest of the same id before.
        if (nsm.Asked.Contains((AttachOp.GuestRemoved, id)) || nsm.Asked.Contains((message.Op, id))
            || !_guests.TryGetValue(id, out Guest? guest) || guest.IsTornDown || !guest.Uses(nsm.Id))
        {
            AnswerCongestion(_guests.TryGetValue(id, out Guest? left) ? left : null);
            return;
        }

        string text;
        fixed (byte* field = message.Text)
        {
            text = SeqPacket.Get(new ReadOnlySpan<byte>(field, 128));
        }

        if (message.Op == AttachOp.GuestChanged)
        {
            TellCongestion(nsm, guest, text);
            AnswerCongestion(guest);
            return;
        }

        int error = message.Error;
        if (error == 0)
        {
            TellCongestion(nsm, guest, text);
            text = "";
            uint part = (uint)Math.Max(0, guest.PartOf(nsm.Id));
            OnLoops(loop => loop.Route(guest.Ports[loop.Index], nsm.Id, part));
            Log.Info("guest-routed", ("guest", guest.Name), ("nsm", nsm.Id));
        }
        else
        {
            Log.Error("guest-not-routed", ("guest", guest.Name), ("nsm", nsm.Id), ("error", error), ("reason", text));
        }

        AnswerUse(guest, nsm.Id, error, text);
        if (guest.NsmId == nsm.Id && guest.Waiting is { } waiting)
        {
            guest.Waiting = null;
            Reply(waiting, guest.Message(AttachOp.AddGuest), error, text);
            if (error != 0)
            {
                Remove(guest);
            }
        }
    }

    private void LoseNsm(Nsm nsm, string why)
    {
        OnLoops(loop => loop.RemoveNsm(nsm.Id));
        nsm.Detach();
        Log.Warn("nsm-lost", ("nsm", nsm.Id), ("name", nsm.Name), ("reason", why));
        foreach (Guest guest in _guests.Values)
        {
            AnswerUse(guest, nsm.Id, 0, "");
            AnswerCongestion(guest);
            if (guest.PartOf(nsm.Id) is >= 0 and var part)
            {
                if (guest.Leaving[part])
                {
                    guest.FreePart(part);
                }
                else if (!guest.IsTornDown)
                {
                    guest.ChangePart(nsm.Id);
                }
            }

            if (guest.NsmId == nsm.Id && guest.Waiting is { } waiting)
            {
                guest.Waiting = null;
                Reply(waiting, guest.Message(AttachOp.AddGuest), 0, "");
            }
        }

        AttachMessage lost = default;
        lost.Op = AttachOp.NsmLost;
        lost.Nsm = nsm.Id;
        Tell(lost, why);
    }
}
