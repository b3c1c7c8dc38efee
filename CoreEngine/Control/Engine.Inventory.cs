using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>What there is, for a control plane that has been started again and takes over: one guest or NSM an answer, in the order of ids. The shared-memory NSM
/// is no business of the control plane's, and not told.</summary>
internal sealed unsafe partial class Engine
{
    private void TellNextGuest(EnginePeer peer, ref AttachMessage message)
    {
        Guest? next = null;
        foreach (Guest guest in _guests.Values)
        {
            if (guest.Id > message.Guest && (next == null || guest.Id < next.Id))
            {
                next = guest;
            }
        }

        Reply(peer, next == null ? message : next.Message(message.Op), next == null ? Libc.ENOENT : 0, next?.Detached ?? "");
    }

    private void TellNextNsm(EnginePeer peer, ref AttachMessage message)
    {
        Nsm? next = null;
        foreach (Nsm nsm in _nsms.Values)
        {
            if (nsm.Id > message.Nsm && nsm.Id != SwitchLoop.SharedNsm && (next == null || nsm.Id < next.Id))
            {
                next = nsm;
            }
        }

        if (next == null)
        {
            Reply(peer, message, Libc.ENOENT, "");
            return;
        }

        AttachMessage answer = default;
        answer.Op = message.Op;
        answer.Nsm = next.Id;
        answer.Slot = next.Peer is { } connection ? (uint)Math.Max(0, SeqPacket.PeerPid(connection.Fd, out _)) : 0;
        answer.Flags = next.Look();
        SeqPacket.Put(new Span<byte>(answer.Name, 40), next.Name);
        Reply(peer, answer, 0, "");
    }
}
