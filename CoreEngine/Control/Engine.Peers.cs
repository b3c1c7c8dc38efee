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

    /// <summary>A message on engine.sock.</summary>
    public void FromPeer(EnginePeer peer, ref AttachMessage message)
    {
        bool fits = message.Op switch
        {
            AttachOp.ControlHello => peer.Nsm == null,
            AttachOp.AddGuest or AttachOp.RemoveGuest or AttachOp.AddNsm or AttachOp.RemoveNsm or AttachOp.Stop
                or AttachOp.NextGuest or AttachOp.NextNsm or AttachOp.SetLimits
                or AttachOp.UseNsm or AttachOp.LeaveNsm or AttachOp.SetRule or AttachOp.NextUse or AttachOp.Ping or AttachOp.SetSharedMemory or AttachOp.SetCongestion => peer.IsControlPlane,
            AttachOp.NsmHello => peer.Nsm == null && !peer.IsControlPlane,
            AttachOp.GuestAdded or AttachOp.GuestRemoved or AttachOp.GuestChanged => peer.Nsm != null,
            _ => false,
        };
        if (!fits)
        {
            PeerEnded(peer, $"unexpected message {(uint)message.Op}");
            return;
        }

        switch (message.Op)
        {
            case AttachOp.ControlHello:
                peer.IsControlPlane = true;
                Reply(peer, message, 0, "");
                break;
            case AttachOp.AddGuest:
                AddGuest(peer, ref message);
                break;
            case AttachOp.RemoveGuest:
                RemoveGuest(peer, ref message);
                break;
            case AttachOp.AddNsm:
                AddNsm(peer, ref message);
                break;
            case AttachOp.RemoveNsm:
                RemoveNsm(peer, ref message);
                break;
            case AttachOp.Stop:
                Reply(peer, message, 0, "");
                Log.Info("stop", ("reason", "control plane"));
                _stopWanted = true;
                break;
            case AttachOp.NextGuest:
                TellNextGuest(peer, ref message);
                break;
            case AttachOp.NextNsm:
                TellNextNsm(peer, ref message);
                break;
            case AttachOp.SetLimits:
                SetLimits(peer, ref message);
                break;
            case AttachOp.UseNsm:
                UseNsm(peer, ref message);
                break;
            case AttachOp.LeaveNsm:
                LeaveNsm(peer, ref message);
                break;
            case AttachOp.SetRule:
                SetRule(peer, ref message);
                break;
            case AttachOp.NextUse:
                TellNextUse(peer, ref message);
                break;
            case AttachOp.Ping:
                OnLoops(_ => { });
                Reply(peer, message, 0, "");
                break;
            case AttachOp.SetSharedMemory:
                SetSharedMemory(peer, ref message);
                break;
            case AttachOp.SetCongestion:
                SetCongestion(peer, ref message);
                break;
            case AttachOp.NsmHello:
                AttachNsm(peer, ref message);
                break;
            default:
                NsmAnswered(peer.Nsm!, ref message);
                break;
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
