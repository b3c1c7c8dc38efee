using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>
/// The end of a connection. A graceful close first hands over what is queued. When the peer does not read, the kernel's buffer is made large enough for it, so that the guest's TX chunks come
/// free at once and the kernel treats the socket as any orphan of its own. Where that is not permitted the chunks wait, no longer than TCP_USER_TIMEOUT, and no more than a part of the pool.
/// </content>
internal sealed unsafe partial class KernelStack
{
    private const int CloseTimeoutMs = 60_000;

    /// <summary>Closed sockets may hold one TX chunk of a guest in so many; those closed after that are reset, as by the kernel's limit of orphans (tcp(7), tcp_max_orphans).</summary>
    private const uint OrphanShare = 8;

    public void Close(Connection* c, bool abort)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        Unstarve(c, s);

        // SO_LINGER with 0 seconds asks for RST at close(2).
        if (abort || (s->LingerOn != 0 && s->LingerSeconds == 0))
        {
            s->Set(KernelFlags.Abort);
        }
    }

    public void Drop(Connection* c)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        Unstarve(c, s);
        _host.GuestOf(c).OrphanSends -= s->OrphanSends;
        CloseFds(s, abort: true);
    }

    private void RunClose(Connection* c, KernelSocket* s)
    {
        if (s->Phase == Phase.Connected)
        {
            Flush(c, s); // Also before a reset: what the program has sent is on its way by then.
            if (c->SendCount != 0 && HasUnread(s->Fd))
            {
                // The kernel answers data for a closed socket with RST and drops what it had to send. Waiting for a peer that waits for us would last for ever.
                s->Set(KernelFlags.Abort);
            }

            if (!s->Has(KernelFlags.Abort | KernelFlags.CloseTimed) && c->SendCount != 0)
            {
                Orphan(c, s);
            }

            if (!s->Has(KernelFlags.Abort) && (c->SendCount != 0 || Lingers(s)))
            {
                if (!s->Has(KernelFlags.CloseTimed))
                {
                    s->Set(KernelFlags.CloseTimed);
                    _ = Sys.SetInt(s->Fd, Sys.IPPROTO_TCP, Sys.TCP_USER_TIMEOUT, CloseTimeoutMs);
                }

                return; // EPOLLOUT or an error schedules it again.
            }
        }

        if (s->Phase == Phase.Connecting)
        {
            _host.CompleteAddress(c, Op.ConnectDone, Libc.ECONNABORTED, default);
        }

        _host.GuestOf(c).OrphanSends -= s->OrphanSends;
        CloseFds(s, s->Has(KernelFlags.Abort));
        _host.FailSends(c, Libc.ECONNRESET);
        _host.Closed(c);
    }

    /// <summary>Nobody in the guest has the socket any more, and the kernel's buffer is full: makes it larger by what is queued, or counts what goes on waiting.</summary>
    private void Orphan(Connection* c, KernelSocket* s)
    {
        const ulong Overhead = 64 << 10, MostBuffer = 512 << 20;
        ulong room = ((ulong)Sys.GetInt(s->Fd, Libc.SOL_SOCKET, Sys.SO_SNDBUF) * 2) + (StackHost.QueuedBytes(c) * 2) + Overhead;
        if (room < MostBuffer && Sys.SetInt(s->Fd, Libc.SOL_SOCKET, Sys.SO_SNDBUFFORCE, (int)(room / 2)) == 0) // the kernel doubles what it is told
        {
            s->Set(KernelFlags.Writable);
            Flush(c, s);
        }

        Guest guest = _host.GuestOf(c);
        if (guest.OrphanSends + c->SendCount > guest.TxChunks / OrphanShare)
        {
            s->Set(KernelFlags.Abort);
            return;
        }

        s->OrphanSends = c->SendCount;
        guest.OrphanSends += s->OrphanSends;
    }

    /// <summary>SO_LINGER with some seconds: the end comes when the peer has acknowledged our FIN, which the kernel shows as a wake-up like any other.</summary>
    private static bool Lingers(KernelSocket* s)
    {
        if (s->LingerOn == 0)
        {
            return false;
        }

        if (!s->Has(KernelFlags.ShutdownDone))
        {
            s->Set(KernelFlags.ShutdownDone);
            _ = Sys.Shutdown(s->Fd, Sys.SHUT_WR);
        }

        return StateOf(s->Fd) is TcpFinWait1 or TcpLastAck or TcpClosing;
    }

    private static bool HasUnread(int fd)
    {
        byte first;
        return Sys.Receive(fd, &first, 1, Sys.MSG_PEEK | Libc.MSG_DONTWAIT) > 0;
    }

    private void CloseFds(KernelSocket* s, bool abort)
    {
        bool connected = s->Phase == Phase.Connected;
        if (abort && connected)
        {
            _host.PollSoon(); // Whoever has the other end here hears of RST before the one who sent it hears of its end.
        }

        CloseFd(s->Fd, abort && connected);
        if (s->Fd4 >= 0)
        {
            CloseFd(s->Fd4, abort: false);
        }

        s->Fd = -1;
        s->Fd4 = -1;
    }

    private void CloseFd(int fd, bool abort)
    {
        if (abort)
        {
            ulong linger = 1; // struct linger: on, 0 seconds.
            _ = Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_LINGER, &linger, sizeof(ulong));
        }

        _ = Sys.Close(fd);
        if (_starved != null)
        {
            FeedStarved();
        }
    }
}
