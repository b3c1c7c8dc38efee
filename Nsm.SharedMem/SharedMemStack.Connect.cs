using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <content>
/// Connecting and accepting. As in TCP a client is connected, and may send, before the server accepts; when the backlog is full it waits, as a SYN that is sent again would.
/// </content>
public sealed unsafe partial class SharedMemStack
{
    private const int EISCONN = 106, EALREADY = 114;

    private readonly GuestTable _guests = new();
    private Embryo* _freeEmbryos;

    /// <inheritdoc/>
    public void Connect(Connection* c, in Endpoint address, NqeFlags flags)
    {
        SharedSocket* s = (SharedSocket*)c->State;
        if (s->Has(SharedFlags.Datagram))
        {
            ConnectDatagrams(c, s, in address, flags);
            return;
        }

        s->Set((flags & NqeFlags.Direct) != 0 ? SharedFlags.MayDirect : 0);
        int error = s->Phase switch
        {
            Phase.Connected => EISCONN,
            Phase.Waiting => EALREADY,
            Phase.Listening => EISCONN,
            _ => StartConnect(s, in address),
        };
        if (error == Libc.EINPROGRESS)
        {
            _host.Connecting(c, s->Local);
            return;
        }

        _host.CompleteAddress(c, Op.ConnectDone, error, error == 0 ? s->Local : default);
    }

    /// <inheritdoc/>
    public int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local)
    {
        Embryo* e = (Embryo*)token;
        SharedSocket* s = (SharedSocket*)c->State;
        SharedSocket* from = (SharedSocket*)listener->State;
        s->Self = c;
        s->Domain = from->Domain;
        s->Options = from->Options;
        s->Phase = Phase.Connected;
        s->Local = e->Local;
        s->Remote = e->Remote;
        local = e->Local;
        SharedSocket* client = e->Client;
        Free(e);
        if (client == null)
        {
            s->Error = Libc.ECONNRESET; // accept(2) of a connection that was reset meanwhile succeeds, too
            _host.Schedule(c);
            return 0;
        }

        client->Embryo = null;
        client->Peer = s;
        s->Peer = client;
        _host.Schedule(client->Self); // what it has sent meanwhile
        return 0;
    }

    /// <inheritdoc/>
    public void Decline(ulong token)
    {
        Embryo* e = (Embryo*)token;
        if (e->Client != null)
        {
            e->Client->Embryo = null;
            Break(e->Client, Libc.ECONNRESET);
        }

        Free(e);
    }

    private int StartConnect(SharedSocket* s, in Endpoint address)
    {
        Guest guest = _host.GuestOf(s->Self);
        Guest? other = _guests.Find(in address);
        bool v4 = address.IsIPv4;
        if (other == null || other == guest || (v4 ? guest.Address4 == 0 || (s->Phase == Phase.Bound && !s->Has(SharedFlags.Takes4))
            : !guest.HasIPv6 || s->Domain != Libc.AF_INET6 || (s->Phase == Phase.Bound && !s->Has(SharedFlags.Takes6))))
        {
            return Libc.ENETUNREACH;
        }

        ushort port = s->Phase == Phase.Bound ? s->Local.Port : (ushort)0;
        s->Local = v4 ? Endpoint.V4(guest.Address4, port) : Endpoint.V6(guest.Address6Low, guest.Address6High, port);
        s->Remote = address;
        int error = _ports.AddClient(s);
        if (error != 0)
        {
            return error;
        }

        SharedSocket* listener = _ports.FindListener(other.Id, in address, s->Local.Port);
        if (listener == null)
        {
            _ports.RemoveClient(s);
            return Libc.ECONNREFUSED;
        }

        if (listener->FirstWaiting == null && HasBacklog(listener))
        {
            return Admit(listener, s) ? 0 : Libc.ENOBUFS;
        }

        s->Phase = Phase.Waiting;
        s->Listener = listener;
        if (listener->FirstWaiting == null)
        {
            listener->FirstWaiting = s;
        }
        else
        {
            listener->LastWaiting->NextWaiting = s;
        }

        listener->LastWaiting = s;
        SetTime(s, ConnectTimeOf(s));
        return Libc.EINPROGRESS;
    }

    /// <summary>As the kernel: one more than what listen(2) said.</summary>
    private static bool HasBacklog(SharedSocket* listener) => (ulong)listener->Queued + listener->Self->Announced <= listener->Backlog;

    private bool Admit(SharedSocket* listener, SharedSocket* s)
    {
        Embryo* e = NewEmbryo();
        if (e == null)
        {
            _ports.RemoveClient(s);
            return false;
        }

        e->Client = s;
        e->Local = s->Remote;
        e->Remote = s->Local;
        s->Embryo = e;
        s->Phase = Phase.Connected;
        if (listener->Options.DeferAccept > 0)
        {
            Defer(listener, e);
        }
        else
        {
            Queue(listener, e);
        }

        return true;
    }

    private void Queue(SharedSocket* listener, Embryo* e)
    {
        if (listener->FirstQueued == null)
        {
            listener->FirstQueued = e;
        }
        else
        {
            listener->LastQueued->Next = e;
        }

        listener->LastQueued = e;
        listener->Queued++;
        _host.Schedule(listener->Self);
    }

    /// <summary>A listener's turn: announce what is queued, and let those in who wait.</summary>
    private void RunListener(Connection* c, SharedSocket* s)
    {
        while (s->FirstQueued != null && StackHost.CanAnnounce(c))
        {
            Embryo* e = s->FirstQueued;
            if (!_host.Announce(c, in e->Remote, (ulong)e))
            {
                break;
            }

            Dequeue(s);
        }

        while (s->FirstWaiting != null && HasBacklog(s))
        {
            SharedSocket* client = s->FirstWaiting;
            s->FirstWaiting = client->NextWaiting;
            client->NextWaiting = null;
            client->Listener = null;
            ClearTime(client);
            client->Error = Admit(s, client) ? 0 : Libc.ENOBUFS;
            client->Set(SharedFlags.ConnectOver);
            _host.Schedule(client->Self);
        }
    }

    /// <summary>Tells a client that waited how it ended.</summary>
    private void FinishConnect(Connection* c, SharedSocket* s)
    {
        int error = s->Error;
        s->Clear(SharedFlags.ConnectOver);
        s->Error = 0;
        if (error != 0)
        {
            _ports.RemoveClient(s);
            s->Phase = Phase.Fresh;
        }

        _host.CompleteAddress(c, Op.ConnectDone, error, error == 0 ? s->Local : default);
    }

    /// <summary>A listener ends: who is queued is reset, who waits is refused.</summary>
    private void StopListening(SharedSocket* s)
    {
        _ports.RemoveListener(s);
        s->Phase = Phase.Bound;
        while (s->FirstQueued != null)
        {
            Embryo* e = s->FirstQueued;
            Dequeue(s);
            Decline((ulong)e);
        }

        while (s->FirstDeferred != null)
        {
            Embryo* e = s->FirstDeferred;
            Undefer(e);
            Decline((ulong)e);
        }

        while (s->FirstWaiting != null)
        {
            GiveUp(s->FirstWaiting, Libc.ECONNREFUSED);
        }
    }

    /// <summary>Ends the wait of a client with an errno, which its turn tells.</summary>
    private void GiveUp(SharedSocket* client, int error)
    {
        LeaveQueue(client);
        client->Error = error;
        client->Set(SharedFlags.ConnectOver);
        _host.Schedule(client->Self);
    }

    private void LeaveQueue(SharedSocket* client)
    {
        SharedSocket* listener = client->Listener;
        SharedSocket* before = null;
        SharedSocket* at = listener->FirstWaiting;
        while (at != client)
        {
            before = at;
            at = at->NextWaiting;
        }

        if (before == null)
        {
            listener->FirstWaiting = client->NextWaiting;
        }
        else
        {
            before->NextWaiting = client->NextWaiting;
        }

        if (listener->LastWaiting == client)
        {
            listener->LastWaiting = before;
        }

        client->NextWaiting = null;
        client->Listener = null;
        ClearTime(client);
    }

    private static void Dequeue(SharedSocket* s)
    {
        Embryo* e = s->FirstQueued;
        s->FirstQueued = e->Next;
        s->LastQueued = s->FirstQueued == null ? null : s->LastQueued;
        e->Next = null;
        s->Queued--;
    }

    private Embryo* NewEmbryo()
    {
        const int Slab = 256;
        if (_freeEmbryos == null)
        {
            Embryo* slab = (Embryo*)NativeMemory.Alloc(Slab, (nuint)sizeof(Embryo));
            for (int i = 0; slab != null && i < Slab; i++)
            {
                Free(slab + i);
            }
        }

        Embryo* e = _freeEmbryos;
        if (e != null)
        {
            _freeEmbryos = e->Next;
            *e = default;
        }

        return e;
    }

    private void Free(Embryo* e)
    {
        e->Next = _freeEmbryos;
        _freeEmbryos = e;
    }
}
