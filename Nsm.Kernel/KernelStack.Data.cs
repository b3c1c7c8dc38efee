using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>Data: from the TX pool into kernel sockets, from kernel sockets into the RX pool. No copy besides the kernel's own.</content>
internal sealed unsafe partial class KernelStack
{
    /// <summary>Sends joined in one system call.</summary>
    private const uint MaxVectors = 64;

    /// <summary>Work for one connection in one pass, so that a fast one does not hold up the others.</summary>
    private const int SendCalls = 4, ReceiveCalls = 8;

    /// <summary>Receives in a row that fit a smaller chunk, before smaller chunks are taken.</summary>
    private const int ShrinkAfter = 8;

    /// <summary>TCP_FIN_WAIT1 and so on, as in the kernel's tcp_states.h.</summary>
    private const byte TcpFinWait1 = 4, TcpFinWait2 = 5, TcpLastAck = 9, TcpClosing = 11;

    private readonly Libc.IoVec* _vectors = (Libc.IoVec*)NativeMemory.Alloc(MaxVectors, (nuint)sizeof(Libc.IoVec));

    public void Run(Connection* c)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        if (c->SocketError != 0)
        {
            return;
        }

        if (s->Has(KernelFlags.Datagram))
        {
            RunDatagrams(c, s);
            return;
        }

        if (c->Has(ConnectionFlags.Closing))
        {
            RunClose(c, s);
            return;
        }

        switch (s->Phase)
        {
            case Phase.Connected:
                Flush(c, s);
                Receive(c, s);
                break;
            case Phase.Listening:
                _host.FailSends(c, Libc.ENOTCONN);
                AcceptSome(c, s);
                break;
            case Phase.Connecting:
                if (s->Has(KernelFlags.Writable | KernelFlags.Readable))
                {
                    s->Clear(KernelFlags.Writable);
                    CheckConnect(c, s);
                }

                break;
            default:
                _host.FailSends(c, Libc.EPIPE);
                break;
        }
    }

    public void Shutdown(Connection* c, int how)
    {
        KernelSocket* s = (KernelSocket*)c->State;

        // SHUT_RD alone is the guest's own affair: the kernel would still take data, and recv still give it.
        if (s->Phase == Phase.Connected)
        {
            s->Set((how != Sys.SHUT_RD ? KernelFlags.ShutdownWanted : 0) | (how != Sys.SHUT_WR ? KernelFlags.ReadShut : 0));
            if (how == Sys.SHUT_RD && s->Has(KernelFlags.ShutdownDone))
            {
                _ = Sys.Shutdown(s->Fd, Sys.SHUT_RD);
            }

            _host.Schedule(c);
        }
        else if (s->Phase == Phase.Connecting)
        {
            _ = Sys.Shutdown(s->Fd, how); // gives the attempt up, whichever end it is
        }
        else if (how != Sys.SHUT_WR && s->Phase == Phase.Listening)
        {
            Stop(s->Fd, s->Family, how);
            if (s->Fd4 >= 0)
            {
                Stop(s->Fd4, Libc.AF_INET, how);
            }

            s->Phase = Phase.Bound;
        }
    }

    /// <summary>The kernel takes a port that it has chosen itself away again; the guest keeps it, as the half on its own loopback does.</summary>
    private static void Stop(int fd, int family, int how)
    {
        Endpoint local = SockAddr.LocalOf(fd);
        _ = Sys.Shutdown(fd, how);
        if (local.Port != 0)
        {
            _ = SockAddr.Bind(fd, family, in local); // EINVAL: it still has it, though nothing else shows that
        }
    }

    /// <summary>Gives the kernel what is queued, joined; completes what it took.</summary>
    private void Flush(Connection* c, KernelSocket* s)
    {
        if (c->SendCount != 0 && (s->SendError != 0 || s->Has(KernelFlags.ShutdownDone)))
        {
            _host.FailSends(c, s->SendError != 0 ? s->SendError : Libc.EPIPE);
            return;
        }

        for (int calls = 0; c->SendCount != 0 && s->Has(KernelFlags.Writable); calls++)
        {
            if (calls == SendCalls)
            {
                _host.Schedule(c);
                return;
            }

            uint count = _host.Gather(c, _vectors, MaxVectors, out ulong bytes, out bool more);
            int flags = Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL | (more ? Sys.MSG_MORE : 0);
            nint sent;
            if (count == 1)
            {
                sent = Sys.Send(s->Fd, _vectors->Base, _vectors->Length, flags);
            }
            else
            {
                Libc.MsgHdr header = default;
                header.Iov = _vectors;
                header.IovLength = count;
                sent = Sys.SendMsg(s->Fd, &header, flags);
            }

            if (sent >= 0)
            {
                _host.Sent(c, (ulong)sent);
                if ((ulong)sent < bytes)
                {
                    s->Clear(KernelFlags.Writable); // Its buffer is full: EPOLLOUT follows.
                }
            }
            else if (sent is -Libc.EAGAIN or -Libc.EINPROGRESS)
            {
                // EINPROGRESS: the SYN of a deferred connect (TCP_FASTOPEN_CONNECT) went out without data after all.
                s->Clear(KernelFlags.Writable);
            }
            else if (sent != -Libc.EINTR)
            {
                SendFailed(c, s, (int)-sent);
                return;
            }
        }

        if (c->SendCount == 0 && s->Has(KernelFlags.ShutdownWanted) && !s->Has(KernelFlags.ShutdownDone))
        {
            s->Set(KernelFlags.ShutdownDone);
            _ = Sys.Shutdown(s->Fd, s->Has(KernelFlags.ReadShut) ? Sys.SHUT_RDWR : Sys.SHUT_WR);
        }
    }

    private void SendFailed(Connection* c, KernelSocket* s, int error)
    {
        s->SendError = error;
        _host.FailSends(c, error);

        // What had arrived before is still delivered; then the reset is told.
        s->Set(KernelFlags.Readable | KernelFlags.ReadToEnd);
        if (s->Has(KernelFlags.AtEnd))
        {
            _host.Reset(c, error);
        }
    }

    private void Receive(Connection* c, KernelSocket* s)
    {
        if (s->Has(KernelFlags.AtEnd))
        {
            AfterEnd(c, s);
            return;
        }

        for (int calls = 0; s->Has(KernelFlags.Readable); calls++)
        {
            if (calls == ReceiveCalls)
            {
                _host.Schedule(c);
                return;
            }

            if (c->Has(ConnectionFlags.WaitsForCredit | ConnectionFlags.WaitsForPool) || !_host.TryReserve(c, s->RxClass, out RxBuffer buffer))
            {
                return; // The host schedules the connection when that changes; the kernel's window closes meanwhile.
            }

            nint got = Sys.Receive(s->Fd, buffer.Start, buffer.Capacity, Libc.MSG_DONTWAIT);
            if (got > 0)
            {
                _host.Deliver(c, in buffer, (uint)got);
                Adapt(s, (uint)got, buffer.Capacity);
                if ((uint)got < buffer.Capacity && !s->Has(KernelFlags.ReadToEnd))
                {
                    s->Clear(KernelFlags.Readable); // Short: empty, and the next byte is a new edge.
                }

                continue;
            }

            _host.Return(c, in buffer);
            if (got == -Libc.EAGAIN)
            {
                s->Clear(KernelFlags.Readable | KernelFlags.ReadToEnd);
            }
            else if (got != -Libc.EINTR)
            {
                Ended(c, s, (int)-got);
                return;
            }
        }
    }

    /// <summary>The size class follows what arrives: up when a receive fills its chunk, down when smaller ones would do for a while.</summary>
    private static void Adapt(KernelSocket* s, uint got, uint capacity)
    {
        if (got == capacity)
        {
            s->SmallReceives = 0;
            int filled = PoolHalf.ClassFor(capacity);
            if (s->RxClass == filled && filled < 2)
            {
                s->RxClass++;
            }
        }
        else if (s->RxClass > 0 && got <= PoolHalf.BytesOf(s->RxClass - 1))
        {
            if (++s->SmallReceives == ShrinkAfter)
            {
                s->SmallReceives = 0;
                s->RxClass--;
            }
        }
        else
        {
            s->SmallReceives = 0;
        }
    }

    /// <summary>The kernel's state of a connection: tcpi_state, the first byte of struct tcp_info.</summary>
    private static byte StateOf(int fd)
    {
        byte state = 0;
        uint length = 1;
        return Sys.GetSockOpt(fd, Sys.IPPROTO_TCP, Sys.TCP_INFO, &state, &length) == 0 ? state : (byte)0;
    }

    /// <summary>recv said 0 or an error.</summary>
    private void Ended(Connection* c, KernelSocket* s, int error)
    {
        if (error == 0 && s->Has(KernelFlags.ReadShut) && s->Has(KernelFlags.ShutdownDone) && StateOf(s->Fd) is TcpFinWait1 or TcpFinWait2)
        {
            s->Clear(KernelFlags.Readable); // The end that we have made ourselves; the peer's FIN is another edge.
            return;
        }

        s->Set(KernelFlags.AtEnd);
        s->Clear(KernelFlags.Readable);
        if (error == 0 && s->SendError != 0)
        {
            error = s->SendError;
        }

        if (error == 0)
        {
            s->Clear(KernelFlags.ErrorSignalled);
            _host.PeerClosed(c);
            return;
        }

        s->SendError = error;
        _host.FailSends(c, error);
        _host.Reset(c, error);
    }

    /// <summary>After the peer's FIN only an error can still come.</summary>
    private void AfterEnd(Connection* c, KernelSocket* s)
    {
        if (!s->Has(KernelFlags.ErrorSignalled))
        {
            return;
        }

        s->Clear(KernelFlags.ErrorSignalled);
        int error = s->SendError != 0 ? s->SendError : Sys.PendingError(s->Fd);
        if (error != 0)
        {
            s->SendError = error;
            _host.FailSends(c, error);
            _host.Reset(c, error);
        }
    }
}
