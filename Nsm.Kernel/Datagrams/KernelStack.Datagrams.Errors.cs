using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>Errors that datagram sockets get afterwards, and the options that only they have.</content>
internal sealed unsafe partial class KernelStack
{
    private void TellErrors(Connection* c, KernelSocket* s)
    {
        if (!s->Has(KernelFlags.ErrorSignalled))
        {
            return;
        }

        s->Clear(KernelFlags.ErrorSignalled);
        int error = Sys.PendingError(s->Fd);
        if (error == 0 && s->Fd4 >= 0)
        {
            error = Sys.PendingError(s->Fd4);
        }

        bool queued = s->Has(KernelFlags.ErrorQueue) && (Sys.HasError(s->Fd) || (s->Fd4 >= 0 && Sys.HasError(s->Fd4)));
        if (error != 0 || queued)
        {
            _host.Error(c, error, queued);
        }
    }

    /// <summary>Takes the oldest record of the kernel's error queue: IP_RECVERR in ip(7).</summary>
    private static int ReadErrorQueue(KernelSocket* s, int name, byte* value, uint room, out uint length)
    {
        length = 0;
        if (name != StackOption.ErrorQueue || !s->Has(KernelFlags.Datagram) || room < ErrorRecord.Bytes)
        {
            return Sys.ENOPROTOOPT;
        }

        byte* control = stackalloc byte[(int)ReceiveControlBytes];
        SockAddr peer = default;
        Libc.IoVec vector = new() { Base = value + ErrorRecord.Bytes, Length = room - ErrorRecord.Bytes };
        Libc.MsgHdr message = default;
        nint got = -Libc.EAGAIN;
        for (int half = 0; half < 2 && got == -Libc.EAGAIN; half++)
        {
            int fd = half == 0 ? s->Fd : s->Fd4;
            message.Name = &peer;
            message.NameLength = (uint)sizeof(SockAddr);
            message.Iov = &vector;
            message.IovLength = 1;
            message.Control = control;
            message.ControlLength = ReceiveControlBytes;
            got = fd < 0 ? -Libc.EAGAIN : Sys.ReceiveMsg(fd, &message, Sys.MSG_ERRQUEUE | Sys.MSG_TRUNC | Libc.MSG_DONTWAIT);
        }

        if (got < 0)
        {
            return (int)-got;
        }

        ErrorRecord record = default;
        Endpoint to = peer.ToEndpoint();
        record.Datagram.PeerLow = to.Low;
        record.Datagram.PeerHigh = to.High;
        record.Datagram.PeerPort = to.Port;
        record.Datagram.Length = (uint)got;
        if (message.NameLength != 0)
        {
            record.Datagram.Fields = DatagramFields.Peer;
        }

        for (nuint at = 0; at + 16 <= message.ControlLength;)
        {
            nuint bytes = *(nuint*)(control + at);
            if (bytes < 16 || at + bytes > message.ControlLength)
            {
                break;
            }

            int level = *(int*)(control + at + 8);
            int type = *(int*)(control + at + 12);
            if ((level, type) is (Sys.IPPROTO_IP, Sys.IP_RECVERR) or (Sys.IPPROTO_IPV6, Sys.IPV6_RECVERR))
            {
                record.Error = *(SockExtendedError*)(control + at + 16);
                SockAddr* offender = (SockAddr*)(control + at + 16 + sizeof(SockExtendedError));
                if (offender->Family is Libc.AF_INET or Libc.AF_INET6)
                {
                    SetLocal(&record.Datagram, offender->ToEndpoint());
                }
            }

            at += (bytes + 7) & ~(nuint)7;
        }

        if (Sys.HasError(s->Fd) || (s->Fd4 >= 0 && Sys.HasError(s->Fd4)))
        {
            record.Datagram.Fields |= DatagramFields.MoreErrors;
        }

        *(ErrorRecord*)value = record;
        length = ErrorRecord.Bytes + Math.Min((uint)got, room - ErrorRecord.Bytes);
        return 0;
    }

    private int SetDatagramOption(KernelSocket* s, int level, int name, ulong value, uint length)
    {
        int error = _options.Set(s, level, name, &value, length);
        if (error != 0)
        {
            return error;
        }

        uint number = length >= sizeof(uint) ? (uint)value : (byte)value;
        switch (level, name)
        {
            case (Libc.SOL_SOCKET, Sys.SO_RCVBUF):
                const uint LeastReceiveBytes = 2304; // SOCK_MIN_RCVBUF, socket(7)
                s->ReceiveBytes = (uint)Math.Clamp(number, LeastReceiveBytes / 2, 1u << 30) * 2;
                break;
            case (Sys.IPPROTO_IP, Sys.IP_RECVERR) or (Sys.IPPROTO_IPV6, Sys.IPV6_RECVERR):
                s->Flags = number != 0 ? s->Flags | KernelFlags.ErrorQueue : s->Flags & ~KernelFlags.ErrorQueue;
                break;
            case (Sys.IPPROTO_IP, Sys.IP_PKTINFO or Sys.IP_RECVTOS or Sys.IP_RECVTTL) or (Libc.SOL_SOCKET, Sys.SO_TIMESTAMPNS)
                or (Sys.IPPROTO_IPV6, Sys.IPV6_RECVPKTINFO or Sys.IPV6_RECVTCLASS or Sys.IPV6_RECVHOPLIMIT):
                s->Set(KernelFlags.WantsControl);
                break;
            default:
                break;
        }

        return 0;
    }
}
