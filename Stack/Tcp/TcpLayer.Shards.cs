using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <content>Among shards: ports that others have bound, and connections that change from one to another.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>Whether a port is good for a connection from here: its packets come to this shard first, and no other one has it.</summary>
    private bool IsOurs(in Address local, in Address remote, ushort port, ushort remotePort) =>
        _stack.Shard == null || (_stack.Shard.IsHome(local, remote, port, remotePort) && !IsElsewhere(local, port));

    private bool IsElsewhere(in Address local, ushort port) =>
        _stack.Shard is { } shard && shard.Claims.IsElsewhere(udp: false, local, port, shard.Index);

    /// <summary>A socket is about to be bound, or to listen: whether the other shards' sockets allow it.</summary>
    private bool Claim(Tcb* t, in Address local, ushort port, bool listens)
    {
        if (_stack.Shard is not { } shard)
        {
            return true;
        }

        PortClaim claim = (ClaimOf(local, port) & With(t)) | PortClaim.Bound;
        claim |= listens || IsListening(local, port) ? PortClaim.Listens : 0;
        return shard.Claims.TryClaim(udp: false, local, port, shard.Index, claim, listens);

        static PortClaim With(Tcb* t) =>
            (t->IsFlag(TcbFlag.ReuseAddress) ? PortClaim.ReuseAddress : 0) | (t->IsFlag(TcbFlag.ReusePort) ? PortClaim.ReusePort : 0);
    }

    /// <summary>A socket gave a port back, or listens no more.</summary>
    private void Unclaim(in Address local, ushort port)
    {
        if (_stack.Shard is not { } shard)
        {
            return;
        }

        bool bound = false;
        for (Tcb* t = _bound[BoundBucket(local, port)]; t != null && !bound; t = t->BindNext)
        {
            bound = t->LocalPort == port && t->Local == local;
        }

        PortClaim claim = bound ? ClaimOf(local, port) | PortClaim.Bound | (IsListening(local, port) ? PortClaim.Listens : 0) : PortClaim.None;
        shard.Claims.Set(udp: false, local, port, shard.Index, claim);
    }

    /// <summary>What all of this shard's sockets at a port have been allowed.</summary>
    private PortClaim ClaimOf(in Address local, ushort port)
    {
        PortClaim all = PortClaim.ReuseAddress | PortClaim.ReusePort;
        for (Tcb* t = _bound[BoundBucket(local, port)]; t != null; t = t->BindNext)
        {
            if (t->LocalPort == port && t->Local == local)
            {
                all &= t->IsFlag(TcbFlag.ReuseAddress) ? all : ~PortClaim.ReuseAddress;
                all &= t->IsFlag(TcbFlag.ReusePort) ? all : ~PortClaim.ReusePort;
            }
        }

        return all;
    }

    private bool IsListening(in Address local, ushort port)
    {
        for (Tcb* t = _bound[BoundBucket(local, port)]; t != null; t = t->BindNext)
        {
            if (t->LocalPort == port && t->Local == local && t->State == TcpState.Listen)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Bytes that <see cref="Export"/> writes of a connection.</summary>
    public static uint ExportLength(Tcb* t)
    {
        uint length = (uint)sizeof(Exported);
        for (RxBlock* b = t->RxFirst; b != null; b = b->Next)
        {
            length += (2 * sizeof(uint)) + b->Length;
        }

        for (TxSegment* s = t->TxFirst; s != null; s = s->Next)
        {
            length += (uint)sizeof(TxSegment);
        }

        return length;
    }

    /// <summary>
    /// Writes down a connection that nobody has sent data on, for <see cref="Import"/> in another shard; here it is forgotten, without a word to the peer. Its owner has accepted it.
    /// </summary>
    public void Export(Tcb* t, byte* to)
    {
        ForgetEarly(t);
        Exported* head = (Exported*)to;
        *head = new Exported { Connection = *t };
        head->Timers[0] = DueAt(&t->RetransmitTimer);
        head->Timers[1] = DueAt(&t->AckTimer);
        head->Timers[2] = DueAt(&t->LifeTimer);
        head->Timers[3] = DueAt(&t->PaceTimer);
        to += sizeof(Exported);
        for (RxBlock* b = t->RxFirst; b != null; b = b->Next)
        {
            *(uint*)to = b->Start;
            *(uint*)(to + sizeof(uint)) = b->Length;
            Buffer.MemoryCopy(RxBlock.Data(b), to + (2 * sizeof(uint)), b->Length, b->Length);
            to += (2 * sizeof(uint)) + b->Length;
            head->Blocks++;
        }

        for (TxSegment* s = t->TxFirst; s != null; s = s->Next)
        {
            *(TxSegment*)to = *s;
            to += sizeof(TxSegment);
            head->Segments++;
        }

        t->User = null;
        Free(t);

        static long DueAt(Timer* timer) => timer->IsArmed ? timer->Deadline : 0;
    }

    /// <summary>
    /// Makes a connection of what another shard's <see cref="Export"/> wrote, for that owner. Null when memory is short: the peer is then told by RST, as soon as it says
    /// something.
    /// </summary>
    public Tcb* Import(byte* from, void* user)
    {
        Exported* head = (Exported*)from;
        Tcb* t = New();
        if (t == null)
        {
            return null;
        }

        const uint Tables = TcbFlag.Pending | TcbFlag.Bound | TcbFlag.Hashed;
        Tcb fresh = *t;
        bool pending = head->Connection.IsFlag(TcbFlag.Pending | TcbFlag.AckNow), hashed = head->Connection.IsFlag(TcbFlag.Hashed);
        *t = head->Connection;
        t->Flags &= ~Tables;
        t->User = user;
        t->RetransmitTimer = fresh.RetransmitTimer;
        t->AckTimer = fresh.AckTimer;
        t->LifeTimer = fresh.LifeTimer;
        t->PaceTimer = fresh.PaceTimer;
        t->HashNext = t->BindNext = t->PendingNext = t->QueueNext = t->QueuePrevious = t->Parent = null;
        t->RxFirst = t->RxLast = null;
        t->TxFirst = t->TxLast = null;
        byte* at = from + sizeof(Exported);
        if (!ImportBlocks(t, ref at, head->Blocks) || !ImportSegments(t, at, head->Segments))
        {
            Free(t);
            return null;
        }

        if (hashed)
        {
            Enter(t);
        }

        Arm(&t->RetransmitTimer, head->Timers[0]);
        Arm(&t->AckTimer, head->Timers[1]);
        Arm(&t->LifeTimer, head->Timers[2]);
        Arm(&t->PaceTimer, head->Timers[3]);
        if (pending)
        {
            Pend(t);
        }

        return t;

        void Arm(Timer* timer, long due)
        {
            if (due != 0)
            {
                _stack.Wheel.Set(timer, due);
            }
        }
    }

    private bool ImportBlocks(Tcb* t, ref byte* at, uint count)
    {
        t->RxBlocks = 0;
        for (uint i = 0; i < count; i++)
        {
            RxBlock* b = (RxBlock*)_blocks.Take();
            if (b == null)
            {
                return false;
            }

            b->Next = null;
            b->Start = *(uint*)at;
            b->Length = *(uint*)(at + sizeof(uint));
            Buffer.MemoryCopy(at + (2 * sizeof(uint)), RxBlock.Data(b), RxBlock.Capacity, b->Length);
            at += (2 * sizeof(uint)) + b->Length;
            if (t->RxLast != null)
            {
                t->RxLast->Next = b;
            }
            else
            {
                t->RxFirst = b;
            }

            t->RxLast = b;
            t->RxBlocks++;
        }

        return true;
    }

    private bool ImportSegments(Tcb* t, byte* at, uint count)
    {
        for (uint i = 0; i < count; i++, at += sizeof(TxSegment))
        {
            TxSegment* s = (TxSegment*)_segments.Take();
            if (s == null)
            {
                return false;
            }

            *s = *(TxSegment*)at;
            s->Next = null;
            s->Previous = t->TxLast;
            if (t->TxLast != null)
            {
                t->TxLast->Next = s;
            }
            else
            {
                t->TxFirst = s;
            }

            t->TxLast = s;
        }

        return true;
    }

    /// <summary>A connection on its way; its blocks of data and segments follow.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Exported
    {
        public Tcb Connection;
        public fixed long Timers[4];
        public uint Blocks, Segments;
    }
}
