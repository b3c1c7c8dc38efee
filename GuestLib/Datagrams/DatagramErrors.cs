using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>recvmsg(2) with MSG_ERRQUEUE: the queue lies in the NSM's stack, and its oldest entry is asked for (IP_RECVERR in ip(7)).</summary>
internal static unsafe class DatagramErrors
{
    internal static nint Receive(int fd, SocketSlot* s, MsgHdr* message, int flags)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & (SocketStatus.Known | Datagrams.ErrorQueued)) != (SocketStatus.Known | Datagrams.ErrorQueued)
            && !(Draining.Of(s->QueueSet) && (Volatile.Read(ref s->Status) & Datagrams.ErrorQueued) != 0))
        {
            return Real.recvmsg(fd, message, flags); // errors of the loopback half; EAGAIN when there are none. Never waits.
        }

        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        Interlocked.And(ref s->Status, ~Datagrams.ErrorQueued);
        Nqe ask = default;
        ask.Op = Op.GetOption;
        ask.Socket = Fds.IdOf(fd);
        ask.OpData = (uint)StackOption.Level | ((ulong)StackOption.ErrorQueue << 32);
        ask.Size = PoolLayout.SmallBytes;
        int error = Control.Request(s, ask.Socket, RingKind.Job, &ask, 1);
        error = error != 0 ? error : (int)s->ControlError;
        nint got = -1;
        uint length = (uint)s->ControlData;
        if (error == 0 && length >= ErrorRecord.Bytes && Region.Rx.TryFind(s->ControlPtr, length, out _))
        {
            got = Put(s, (ErrorRecord*)(Region.Pool + s->ControlPtr), length, message, flags);
            Nqe credit = default;
            credit.Op = Op.RxCredit;
            credit.Socket = ask.Socket;
            credit.DataPtr = s->ControlPtr;
            credit.Size = length;
            _ = Rings.Credit(s, &credit, 1, length);
        }

        Locks.Leave(ref s->ControlLock);
        return got >= 0 ? got : error is 0 or Abi.EAGAIN ? Real.recvmsg(fd, message, flags) : Libc.Fail(error);
    }

    private static nint Put(SocketSlot* s, ErrorRecord* record, uint bytes, MsgHdr* message, int flags)
    {
        uint payload = bytes - ErrorRecord.Bytes;
        uint total = (uint)Messages.Total(message->Iov, message->IovLength);
        _ = Receiving.Scatter(message->Iov, message->IovLength, 0, (byte*)record + ErrorRecord.Bytes, payload);
        message->Flags = Abi.MSG_ERRQUEUE | (total < record->Datagram.Length ? Abi.MSG_TRUNC : 0);
        if (message->Name != null)
        {
            uint room = message->NameLength;
            _ = Addresses.Put(s->Domain, record->Datagram.PeerLow, record->Datagram.PeerHigh, record->Datagram.PeerPort, message->Name, &room);
            message->NameLength = room;
        }

        // struct sock_extended_err and the offender's address behind it. Whose protocol it was says which level.
        byte* data = stackalloc byte[sizeof(SockExtendedError) + 28];
        bool v4 = Addresses.IsMapped(record->Datagram.PeerLow, record->Datagram.PeerHigh) && s->Domain == Abi.AF_INET;
        *(SockExtendedError*)data = record->Error;
        byte* offender = data + sizeof(SockExtendedError);
        uint length = (uint)sizeof(SockExtendedError) + (v4 ? 16u : 28u);
        for (uint i = (uint)sizeof(SockExtendedError); i < length; i++)
        {
            data[i] = 0;
        }

        if ((record->Datagram.Fields & DatagramFields.Local) != 0)
        {
            _ = Addresses.Format(v4 ? Abi.AF_INET : Abi.AF_INET6, record->Datagram.LocalLow, record->Datagram.LocalHigh, 0, offender);
        }

        ControlMessages.Room control = ControlMessages.Room.Of(message);
        control.Put(v4 ? Abi.IPPROTO_IP : Abi.IPPROTO_IPV6, v4 ? Abi.IP_RECVERR : Abi.IPV6_RECVERR, data, length);
        message->Flags |= control.Flags;
        message->ControlLength = (nuint)(control.At - (byte*)message->Control);
        s->Error = 0; // the kernel takes the pending error back with its record, unless another follows, of which it tells
        if ((record->Datagram.Fields & DatagramFields.MoreErrors) != 0)
        {
            Interlocked.Or(ref s->Status, Datagrams.ErrorQueued);
        }

        nint copied = (nint)(payload < total ? payload : total);
        return (flags & Abi.MSG_TRUNC) != 0 ? (nint)record->Datagram.Length : copied;
    }
}
