using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// TCP (RFC 9293): tables and the life of connections. The parts: calls of the owner (Calls), listeners (Listen, Cookies), arriving segments
/// (Input, Data, Blocks, Window, Report), acknowledgements and loss (Ack, Sack, Recovery), sending (Output, Header), timers (Timers), TIME-WAIT.
/// </summary>
public sealed unsafe partial class TcpLayer : IDisposable
{
    private readonly NetworkStack _stack;
    private readonly StackOptions _options;
    private readonly RandomSource _random;
    private readonly StackCounters _counters;
    private readonly Slab _tcbs, _segments, _blocks;
    private readonly Tcb** _buckets;
    private readonly uint _mask;
    private readonly Tcb** _bound;
    private const uint BoundBuckets = 4096;
    private Tcb* _pending;
    private ITcpUser _user = null!;

    internal TcpLayer(NetworkStack stack)
    {
        _stack = stack;
        _options = stack.Options;
        _random = stack.Random;
        _counters = stack.Counters;
        _tcbs = new Slab(sizeof(Tcb), _options.MaxConnections);
        _segments = new Slab(sizeof(TxSegment), _options.MaxSegments, perSlab: 1024);
        _blocks = new Slab(RxBlock.Bytes, _options.MaxBlocks);
        _mask = System.Numerics.BitOperations.RoundUpToPowerOf2(_options.MaxConnections) - 1;
        _buckets = (Tcb**)NativeMemory.AllocZeroed(_mask + 1, (nuint)sizeof(Tcb*));
        _bound = (Tcb**)NativeMemory.AllocZeroed(BoundBuckets, (nuint)sizeof(Tcb*));
        _fastOpen = new FastOpenCache(_random);
        _timeWaits = new TimeWaitTable(_options.MaxTimeWait, _random);
    }

    /// <summary>Who has the sockets; set before the first of them.</summary>
    public ITcpUser User
    {
        set => _user = value;
    }

    /// <summary>Connections, listeners and sockets that are neither.</summary>
    public uint Count => _tcbs.Count;

    /// <summary>Segments in flight, and blocks of data that waits.</summary>
    public (uint Segments, uint Blocks) Held => (_segments.Count, _blocks.Count);

    /// <summary>Connections in TIME-WAIT.</summary>
    public uint TimeWaits => _timeWaits.Count;

    /// <summary>Bytes per connection, without what is in flight.</summary>
    public static int BytesPerConnection => sizeof(Tcb);

    internal bool HasPending => _pending != null;

    private long Now => _stack.Now;

    /// <inheritdoc/>
    public void Dispose()
    {
        _tcbs.Dispose();
        _segments.Dispose();
        _blocks.Dispose();
        _timeWaits.Dispose();
        NativeMemory.Free(_buckets);
        NativeMemory.Free(_bound);
        NativeMemory.Free(_timeWaitTimer);
    }

    internal void FlushPending()
    {
        while (_pending != null)
        {
            Tcb* t = _pending;
            _pending = t->PendingNext;
            t->PendingNext = null;
            t->Flags &= ~TcbFlag.Pending;
            if (t->State == TcpState.SynSent && t->WriteSeq != t->Iss + 1)
            {
                SendDeferred(t);
            }

            Output(t);
            if (t->IsFlag(TcbFlag.AckNow))
            {
                SendAck(t);
            }
        }
    }

    private Tcb* Find(in Address local, in Address remote, ushort localPort, ushort remotePort, out uint hash)
    {
        hash = _random.TableHash(local, remote, localPort, remotePort);
        Tcb* t = _buckets[hash & _mask];
        while (t != null && (t->Hash != hash || t->RemotePort != remotePort || t->LocalPort != localPort || t->Remote != remote || t->Local != local))
        {
            t = t->HashNext;
        }

        return t;
    }

    private void Enter(Tcb* t)
    {
        t->Hash = _random.TableHash(t->Local, t->Remote, t->LocalPort, t->RemotePort);
        t->HashNext = _buckets[t->Hash & _mask];
        _buckets[t->Hash & _mask] = t;
        t->Flags |= TcbFlag.Hashed;
    }

    private void Leave(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.Hashed))
        {
            return;
        }

        Tcb** at = &_buckets[t->Hash & _mask];
        while (*at != t)
        {
            at = &(*at)->HashNext;
        }

        *at = t->HashNext;
        t->Flags &= ~TcbFlag.Hashed;
    }

    private Tcb* New()
    {
        Tcb* t = (Tcb*)_tcbs.Take();
        if (t == null)
        {
            return null;
        }

        NativeMemory.Clear(t, (nuint)sizeof(Tcb));
        t->State = TcpState.Closed;
        t->Congestion = _options.Congestion.Index;
        t->Ttl = 64;
        t->SynCount = 6;
        t->KeepIdle = 7200;
        t->KeepInterval = 75;
        t->KeepCount = 9;
        t->Reordering = (ushort)DupThresh;
        t->RetransmitTimer.Owner = t->AckTimer.Owner = t->LifeTimer.Owner = t->PaceTimer.Owner = t;
        t->RetransmitTimer.Kind = (int)TcbTimer.Retransmit;
        t->AckTimer.Kind = (int)TcbTimer.DelayedAck;
        t->LifeTimer.Kind = (int)TcbTimer.Life;
        t->PaceTimer.Kind = (int)TcbTimer.Pace;
        t->Opened = Now;
        return t;
    }

    /// <summary>Puts a connection into the list of those that send at the end of the turn.</summary>
    private void Pend(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.Pending))
        {
            t->Flags |= TcbFlag.Pending;
            t->PendingNext = _pending;
            _pending = t;
        }
    }

    private void Unpend(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.Pending))
        {
            return;
        }

        t->Flags &= ~TcbFlag.Pending;
        if (_pending == t)
        {
            _pending = t->PendingNext;
            return;
        }

        Tcb* before = _pending;
        while (before->PendingNext != t)
        {
            before = before->PendingNext;
        }

        before->PendingNext = t->PendingNext;
    }

    private void Tell(Tcb* t)
    {
        if (t->User != null)
        {
            _user.Changed(t);
        }
    }

    /// <summary>
    /// The connection is no more. With an owner it stays, closed, to tell what happened; without one its memory is free.
    /// </summary>
    private void End(Tcb* t, int error)
    {
        Quiesce(t);
        t->State = TcpState.Closed;
        if (t->Error == 0)
        {
            t->Error = error;
        }

        if (t->Parent != null)
        {
            Orphan(t);
        }

        if (t->User != null)
        {
            Tell(t);
        }
        else
        {
            Free(t);
        }
    }

    /// <summary>Stops everything of a connection: timers, tables, what is in flight, what waits.</summary>
    private void Quiesce(Tcb* t)
    {
        _stack.Wheel.Cancel(&t->RetransmitTimer);
        _stack.Wheel.Cancel(&t->AckTimer);
        _stack.Wheel.Cancel(&t->LifeTimer);
        _stack.Wheel.Cancel(&t->PaceTimer);
        t->TimerMode = RetransmitTimer.Idle;
        ForgetEarly(t);
        Unpend(t);
        t->Flags &= ~TcbFlag.AckNow;
        Leave(t);
        DropSegments(t);
        if (t->User == null)
        {
            DropBlocks(t);
        }
    }

    private void Free(Tcb* t)
    {
        Quiesce(t);
        DropBlocks(t);
        Unbind(t);
        _tcbs.Give(t);
    }

    /// <summary>Takes a connection that nobody accepted away from its listener.</summary>
    private static void Orphan(Tcb* t)
    {
        Tcb* parent = t->Parent;
        if (t->IsFlag(TcbFlag.Embryo))
        {
            t->Flags &= ~TcbFlag.Embryo;
            parent->Embryos.Remove(t);
        }
        else
        {
            parent->Ready.Remove(t);
        }

        t->Parent = null;
    }

    private void DropSegments(Tcb* t)
    {
        TxSegment* s = t->TxFirst;
        while (s != null)
        {
            TxSegment* next = s->Next;
            _segments.Give(s);
            s = next;
        }

        t->TxFirst = t->TxLast = null;
        t->SackedBytes = t->LostBytes = t->RetransBytes = 0;
    }

    private void DropBlocks(Tcb* t)
    {
        RxBlock* b = t->RxFirst;
        while (b != null)
        {
            RxBlock* next = b->Next;
            _blocks.Give(b);
            b = next;
        }

        t->RxFirst = t->RxLast = null;
        t->RxBlocks = 0;
    }
}
