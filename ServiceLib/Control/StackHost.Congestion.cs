using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>
/// The congestion control that a guest's sockets have when their program chooses none, as the control plane says. It counts for connections to come: sockets get it when they are made, and a change goes
/// to those that are not connected yet, listeners above all, whose connections inherit it.
/// </content>
public sealed unsafe partial class StackHost
{
    private const int TCP_CONGESTION = 13;

    /// <summary>Returns why it is not in force, for a person; empty: it is. Then sockets get the NSM's own.</summary>
    private string SetCongestion(Guest guest, in AttachMessage message)
    {
        string name;
        fixed (byte* field = message.Congestion)
        {
            name = SeqPacket.Get(new ReadOnlySpan<byte>(field, AttachMessage.CongestionBytes));
        }

        int found = name.Length == 0 || !_stack.HasTcp ? 0 : _stack.FindCongestion(name);
        int before = guest.Congestion;
        guest.Congestion = Math.Max(found, 0);
        if (guest.Congestion != before)
        {
            for (Connection* c = guest.First; c != null; c = c->GuestNext)
            {
                if (c->SocketError == 0 && !c->Has(ConnectionFlags.Connects | ConnectionFlags.OwnCongestion | ConnectionFlags.Closing))
                {
                    _stack.SetCongestion(c, guest.Congestion);
                }
            }
        }

        return found >= 0 ? "" : found == -Libc.ENOENT ? $"there is no congestion control {name}" : $"congestion control {name}: {Libc.Describe(-found)}";
    }

    /// <summary>A socket was made.</summary>
    private void BeginCongestion(Connection* c)
    {
        if (c->SocketError == 0 && GuestOf(c).Congestion is > 0 and var which)
        {
            _stack.SetCongestion(c, which);
        }
    }
}
