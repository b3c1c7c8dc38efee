using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>Accepting: up to 32 connections per listener are announced; the rest waits in the kernel's backlog.</content>
internal sealed unsafe partial class KernelStack
{
    private Connection* _starved;

    /// <summary>A token is the accepted fd, its family, and the domain that the guest's socket has.</summary>
    public int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local)
    {
        KernelSocket* s = (KernelSocket*)c->State;
        s->Fd = (int)(uint)token;
        s->Fd4 = -1;
        s->Family = (int)(token >> 32 & 0xFF);
        s->Domain = (int)(token >> 40 & 0xFF);
        s->Phase = Phase.Connected;
        s->LingerOn = ((KernelSocket*)listener->State)->LingerOn;
        s->LingerSeconds = ((KernelSocket*)listener->State)->LingerSeconds;
        local = SockAddr.LocalOf(s->Fd);
        int error = Watch(c, s);
        if (error != 0)
        {
            CloseFd(s->Fd, abort: true);
            return error;
        }

        // A request has mostly arrived by now: reading at once saves a round of epoll.
        s->Set(KernelFlags.Readable | KernelFlags.Writable);
        _host.Schedule(c);
        return 0;
    }

    public void Decline(ulong token) => CloseFd((int)(uint)token, abort: true);

    private void AcceptSome(Connection* c, KernelSocket* s)
    {
        AcceptFrom(c, s, s->Fd, s->Family, KernelFlags.Readable);
        if (s->Fd4 >= 0)
        {
            AcceptFrom(c, s, s->Fd4, Libc.AF_INET, KernelFlags.Readable4);
        }
    }

    private void AcceptFrom(Connection* c, KernelSocket* s, int fd, int family, uint readable)
    {
        while (s->Has(readable) && StackHost.CanAnnounce(c) && c->Announced < s->AnnounceMost)
        {
            int accepted = SockAddr.Accept(fd, out Endpoint peer);
            if (accepted >= 0)
            {
                if (!_host.Announce(c, in peer, (uint)accepted | ((ulong)family << 32) | ((ulong)s->Domain << 40)))
                {
                    CloseFd(accepted, abort: true);
                }
            }
            else if (accepted == -Libc.EAGAIN)
            {
                s->Clear(readable);
            }
            else if (accepted is -Libc.EMFILE or -Sys.ENFILE or -Libc.ENOBUFS or -Libc.ENOMEM)
            {
                Starve(c, s); // The connections stay in the backlog; the next fd that is closed makes room.
                return;
            }
            else if (accepted is -Libc.EINVAL or -Libc.EBADF or -Libc.EOPNOTSUPP)
            {
                s->Clear(readable); // Shut down.
            }

            // Everything else is an error of the one connection that was to be accepted (ECONNABORTED ...): on to the next.
        }
    }

    /// <summary>
    /// What is announced counts towards the backlog too: half of it waits in the guest, 32 at most. The rest that this returns is the kernel's, which adds one; with less than one
    /// for itself it would answer every SYN with a cookie.
    /// </summary>
    private static int ShareBacklog(KernelSocket* s, int backlog)
    {
        uint all = (uint)backlog; // listen(2): negative means as much as there is
        uint most = all / 2 < SocketSlot.AcceptEntries ? all / 2 : SocketSlot.AcceptEntries;
        s->AnnounceMost = most == 0 ? 1 : most;
        return all > int.MaxValue ? backlog : (int)(all > s->AnnounceMost ? all - s->AnnounceMost : Math.Min(all, 1));
    }

    private void Starve(Connection* c, KernelSocket* s)
    {
        if (!s->Has(KernelFlags.Starved))
        {
            s->Set(KernelFlags.Starved);
            s->NextStarved = _starved;
            _starved = c;
        }
    }

    private void FeedStarved()
    {
        while (_starved != null)
        {
            Connection* c = _starved;
            KernelSocket* s = (KernelSocket*)c->State;
            _starved = s->NextStarved;
            s->Clear(KernelFlags.Starved);
            _host.Schedule(c);
        }
    }

    private void Unstarve(Connection* c, KernelSocket* s)
    {
        if (!s->Has(KernelFlags.Starved))
        {
            return;
        }

        if (_starved == c)
        {
            _starved = s->NextStarved;
        }
        else
        {
            KernelSocket* before = (KernelSocket*)_starved->State;
            while (before->NextStarved != c)
            {
                before = (KernelSocket*)before->NextStarved->State;
            }

            before->NextStarved = s->NextStarved;
        }

        s->Clear(KernelFlags.Starved);
    }
}
