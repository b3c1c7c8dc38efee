using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Connections to engine.sock: the control plane and NSMs.</summary>
internal sealed unsafe partial class Engine
{
    private void AcceptPeers(int listener)
    {
        int fd;
        while ((fd = SeqPacket.Accept(listener)) >= 0)
        {
            var peer = new EnginePeer(this, _sources);
            _peers.Add(peer);
            _sources.Add(peer, fd);
        }
    }

    /// <summary>A message on engine.sock: who says what it may not ends its connection.</summary>
    public void FromPeer(EnginePeer peer, ref AttachMessage message)
    {
        bool fits = peer.IsControlPlane ? FromControlPlane(peer, ref message) : peer.Nsm is { } nsm ? FromNsm(nsm, ref message) : FromStranger(peer, ref message);
        if (!fits)
        {
            PeerEnded(peer, $"unexpected message {(uint)message.Op}");
        }
    }

    private bool FromStranger(EnginePeer peer, ref AttachMessage message)
    {
        switch (message.Op)
        {
            case AttachOp.ControlHello:
                peer.IsControlPlane = true;
                Reply(peer, message, 0, "");
                return true;
            case AttachOp.NsmHello:
                AttachNsm(peer, ref message);
                return true;
            default:
                return false;
        }
    }

    private bool FromNsm(Nsm nsm, ref AttachMessage message)
    {
        if (message.Op is not (AttachOp.GuestAdded or AttachOp.GuestRemoved or AttachOp.GuestChanged))
        {
            return false;
        }

        NsmAnswered(nsm, ref message);
        return true;
    }

    private bool FromControlPlane(EnginePeer peer, ref AttachMessage message)
    {
        switch (message.Op)
        {
            case AttachOp.ControlHello:
                Reply(peer, message, 0, "");
                return true;
            case AttachOp.AddGuest:
                AddGuest(peer, ref message);
                return true;
            case AttachOp.RemoveGuest:
                RemoveGuest(peer, ref message);
                return true;
            case AttachOp.AddNsm:
                AddNsm(peer, ref message);
                return true;
            case AttachOp.RemoveNsm:
                RemoveNsm(peer, ref message);
                return true;
            case AttachOp.Stop:
                Reply(peer, message, 0, "");
                Log.Info("stop", ("reason", "control plane"));
                _stopWanted = true;
                return true;
            case AttachOp.NextGuest:
                TellNextGuest(peer, ref message);
                return true;
            case AttachOp.NextNsm:
                TellNextNsm(peer, ref message);
                return true;
            case AttachOp.SetLimits:
                SetLimits(peer, ref message);
                return true;
            case AttachOp.UseNsm:
                UseNsm(peer, ref message);
                return true;
            case AttachOp.LeaveNsm:
                LeaveNsm(peer, ref message);
                return true;
            case AttachOp.SetRule:
                SetRule(peer, ref message);
                return true;
            case AttachOp.NextUse:
                TellNextUse(peer, ref message);
                return true;
            case AttachOp.Ping:
                OnLoops(_ => { });
                Reply(peer, message, 0, "");
                return true;
            case AttachOp.SetSharedMemory:
                SetSharedMemory(peer, ref message);
                return true;
            case AttachOp.SetCongestion:
                SetCongestion(peer, ref message);
                return true;
            default:
                return false;
        }
    }

    /// <summary>A connection to engine.sock has ended, or has to.</summary>
    public void PeerEnded(EnginePeer peer, string why)
    {
        if (!_peers.Remove(peer))
        {
            return;
        }

        if (peer.Nsm is { } nsm)
        {
            LoseNsm(nsm, why);
        }
        else if (peer.IsControlPlane)
        {
            Log.Info("control-plane-gone", ("reason", why));
            foreach (Guest guest in _guests.Values)
            {
                guest.Waiting = guest.Waiting == peer ? null : guest.Waiting;
                guest.WaitingCongestion = guest.WaitingCongestion == peer ? null : guest.WaitingCongestion;
                guest.WaitingUse = guest.WaitingUse?.Peer == peer ? null : guest.WaitingUse;
            }
        }

        peer.Close();
    }

    private static void Reply(EnginePeer peer, AttachMessage request, int error, string text)
    {
        request.Error = error;
        SeqPacket.Put(new Span<byte>(request.Text, 128), text);
        peer.Send(request);
    }

    private static string NameIn(ref AttachMessage message)
    {
        fixed (byte* name = message.Name)
        {
            return SeqPacket.Get(new ReadOnlySpan<byte>(name, 40));
        }
    }

    /// <summary>Tells every control plane connection.</summary>
    private void Tell(AttachMessage message, string text)
    {
        SeqPacket.Put(new Span<byte>(message.Text, 128), text);
        foreach (EnginePeer peer in _peers)
        {
            if (peer.IsControlPlane)
            {
                peer.Send(message);
            }
        }
    }
}
