using System.Runtime.InteropServices;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <content>
/// One of several threads. A process accepts by its own queue set, which may be another shard's than its listener's: then the connection moves there, once, and its packets are passed
/// on to it. Until it has come, options go to an empty socket in its place, and to the connection after that; what the program sends waits.
/// </content>
internal sealed unsafe partial class MtcpStack : IShardOwner
{
    private const uint MostEarlyOptions = 32;
    private ulong _takes;

    /// <inheritdoc/>
    public bool TakeOver(Connection* c, uint shard, ulong handle)
    {
        MtcpSocket* s = (MtcpSocket*)c->State;
        s->T = _tcp.Open(c);
        if (s->T == null)
        {
            return false;
        }

        s->Take = ++_takes;
        TakeMessage ask = new() { Step = TakeStep.Take, Handle = handle, Number = s->Take, Guest = c->GuestId, QueueSet = c->QueueSet, Id = c->Id };
        if (!Tell(shard, in ask))
        {
            _tcp.Detach(s->T);
            s->T = null;
            return false;
        }

        s->Phase = Phase.Accepting;
        return true;
    }

    /// <inheritdoc/>
    public void DeclineElsewhere(uint guest, uint shard, ulong handle)
    {
        // A ring that is full of such requests is one that nobody reads: the connection is then ended with its listener.
        TakeMessage message = new() { Step = TakeStep.Decline, Handle = handle, Guest = guest };
        _ = shard < _shard!.Count && Tell(shard, in message);
    }

    bool IShardOwner.Told(uint from, byte* bytes, uint length)
    {
        TakeMessage message = *(TakeMessage*)bytes;
        switch (message.Step)
        {
            case TakeStep.Take:
                return Give(from, message);
            case TakeStep.Decline:
                _host.DeclineAnnounced(message.Guest, message.Handle);
                return true;
            default:
                Taken(in message, bytes + sizeof(TakeMessage));
                return true;
        }
    }

    /// <summary>Another shard's guest takes what was announced here. False: there is no room for the answer now.</summary>
    private bool Give(uint from, TakeMessage message)
    {
        // Room first: what is taken out of the table of announcements cannot be put back.
        ShardItem* item = _shard!.TryReserve(from, (uint)sizeof(TakeMessage));
        if (item == null)
        {
            return false;
        }

        Connection* listener = _host.TakeAnnounced(message.Guest, message.Handle, out ulong token);
        if (listener == null)
        {
            message.Step = TakeStep.Refused;
            *(TakeMessage*)(item + 1) = message;
            _shard.Commit(from);
            return true;
        }

        Tcb* t = (Tcb*)token;
        MtcpSocket* s = (MtcpSocket*)listener->State;
        uint bytes = TcpLayer.ExportLength(t);
        item = _shard.TryReserve(from, (uint)sizeof(TakeMessage) + bytes); // in the place of the smaller one
        message.Step = item != null ? TakeStep.Taken : TakeStep.Refused;
        if (item == null)
        {
            _tcp.Abort(t);
            _ = Tell(from, in message); // There was room for this.
            return true;
        }

        message.Domain = s->Domain;
        message.LingerOn = s->LingerOn;
        message.LingerSeconds = s->LingerSeconds;
        message.ReceiveLimit = listener->ReceiveLimit;
        *(TakeMessage*)(item + 1) = message;
        _tcp.Export(t, (byte*)(item + 1) + sizeof(TakeMessage));
        _shard.Commit(from);
        return true;
    }

    /// <summary>The answer to <see cref="TakeOver"/>.</summary>
    private void Taken(in TakeMessage message, byte* exported)
    {
        Connection* c = _host.Find(message.QueueSet, message.Id);
        MtcpSocket* s = c == null || c->GuestId != message.Guest ? null : (MtcpSocket*)c->State;
        bool waits = s != null && c->SocketError == 0 && s->Phase == Phase.Accepting && s->Take == message.Number;
        Tcb* t = message.Step == TakeStep.Taken ? _tcp.Import(exported, waits ? c : null) : null;
        if (!waits)
        {
            if (t != null)
            {
                _tcp.Abort(t);
            }

            return;
        }

        s->Phase = t != null ? Phase.Arrived : Phase.Refused;
        if (t != null)
        {
            s->Domain = message.Domain;
            s->LingerOn = s->LingerOn != 0 ? s->LingerOn : message.LingerOn;
            s->LingerSeconds = s->LingerSeconds != 0 ? s->LingerSeconds : message.LingerSeconds;
            c->ReceiveLimit = c->ReceiveLimit != 0 ? c->ReceiveLimit : message.ReceiveLimit;
            _tcp.Detach(s->T);
            s->T = t;
            SetEarlyOptions(c, s);
        }

        _scheduled++;
        _host.Schedule(c);
    }

    /// <summary>Tells the guest that the connection is there, or is not.</summary>
    private void RunTaken(Connection* c, MtcpSocket* s)
    {
        bool arrived = s->Phase == Phase.Arrived;
        Endpoint local = arrived ? EndpointOf(s->T->Local, s->T->LocalPort) : default;
        s->Phase = arrived ? Phase.Connected : Phase.Fresh;
        if (!arrived)
        {
            _host.FailSends(c, Libc.ECONNABORTED);
            DropEarlyOptions(s);
            _tcp.Detach(s->T);
            s->T = null;
        }

        _host.TookOver(c, arrived ? 0 : Libc.ECONNABORTED, in local);
        if (!arrived && c->Has(ConnectionFlags.Closing))
        {
            _host.Closed(c);
        }
    }

    private bool Tell(uint shard, in TakeMessage message)
    {
        ShardItem* item = _shard!.TryReserve(shard, (uint)sizeof(TakeMessage));
        if (item == null)
        {
            return false;
        }

        *(TakeMessage*)(item + 1) = message;
        _shard.Commit(shard);
        return true;
    }

    /// <summary>Keeps an option for the connection that has not come yet. Returns an errno.</summary>
    private static int KeepEarlyOption(MtcpSocket* s, int level, int name, ulong value, uint length)
    {
        EarlyOption** at = &s->Early;
        for (uint n = 0; *at != null; n++)
        {
            if (n == MostEarlyOptions)
            {
                return Libc.ENOBUFS;
            }

            at = &(*at)->Next;
        }

        *at = (EarlyOption*)NativeMemory.Alloc((nuint)sizeof(EarlyOption));
        **at = new EarlyOption { Level = level, Name = name, Value = value, Length = length };
        return 0;
    }

    private void SetEarlyOptions(Connection* c, MtcpSocket* s)
    {
        for (EarlyOption* option = s->Early; option != null; option = option->Next)
        {
            _ = Set(c, s, s->T, option->Level, option->Name, option->Value, option->Length); // It was right when it was kept.
        }

        DropEarlyOptions(s);
    }

    private static void DropEarlyOptions(MtcpSocket* s)
    {
        while (s->Early != null)
        {
            EarlyOption* option = s->Early;
            s->Early = option->Next;
            NativeMemory.Free(option);
        }
    }
}
