namespace NetKernel.Stack;

/// <content>What the owner of a socket calls (RFC 9293, 3.9.1). Errors are errnos; 0 is success.</content>
public sealed unsafe partial class TcpLayer
{
    private const ushort FirstEphemeral = 32768, EphemeralPorts = 28232; // Linux's default range, 32768-60999
    private ulong _portClock;

    /// <summary>A new socket; null when there are too many.</summary>
    public Tcb* Open(void* user)
    {
        Tcb* t = New();
        if (t != null)
        {
            t->User = user;
        }

        return t;
    }

    /// <summary>Gives it a local address and port; port 0: any. Several sockets may share a port as on Linux (SO_REUSEADDR, SO_REUSEPORT).</summary>
    public int Bind(Tcb* t, in Address local, ushort port, bool reuseAddress, bool reusePort)
    {
        if (t->State != TcpState.Closed || t->IsFlag(TcbFlag.Bound))
        {
            return Errno.Invalid;
        }

        t->Flags = (t->Flags & ~(TcbFlag.ReuseAddress | TcbFlag.ReusePort)) | (reuseAddress ? TcbFlag.ReuseAddress : 0) | (reusePort ? TcbFlag.ReusePort : 0);
        if (port == 0)
        {
            uint start = _random.Below(EphemeralPorts);
            for (uint i = 0; i < EphemeralPorts && port == 0; i++)
            {
                ushort candidate = (ushort)(FirstEphemeral + ((start + i) % EphemeralPorts));
                port = Conflicts(t, local, candidate, anyAtAll: true) || IsElsewhere(local, candidate) ? (ushort)0 : candidate;
            }

            if (port == 0)
            {
                return Errno.AddressInUse;
            }
        }
        else if (Conflicts(t, local, port, anyAtAll: false))
        {
            return Errno.AddressInUse;
        }

        if (!Claim(t, local, port, listens: false))
        {
            return Errno.AddressInUse;
        }

        t->Local = local;
        t->LocalPort = port;
        ref Tcb* head = ref _bound[BoundBucket(local, port)];
        t->BindNext = head;
        head = t;
        t->Flags |= TcbFlag.Bound;
        return 0;
    }

    /// <summary>Makes a bound socket a listener, or changes its backlog.</summary>
    public int Listen(Tcb* t, uint backlog)
    {
        if (t->State == TcpState.Closed && t->IsFlag(TcbFlag.Bound) && t->RemotePort == 0)
        {
            for (Tcb* other = _bound[BoundBucket(t->Local, t->LocalPort)]; other != null; other = other->BindNext)
            {
                if (other != t && other->State == TcpState.Listen && other->LocalPort == t->LocalPort && other->Local == t->Local
                    && !(other->IsFlag(TcbFlag.ReusePort) && t->IsFlag(TcbFlag.ReusePort)))
                {
                    return Errno.AddressInUse;
                }
            }

            if (!Claim(t, t->Local, t->LocalPort, listens: true))
            {
                return Errno.AddressInUse;
            }

            t->State = TcpState.Listen;
        }
        else if (t->State != TcpState.Listen)
        {
            return Errno.Invalid;
        }

        t->Backlog = backlog > 65535 ? 65535 : backlog;
        return 0;
    }

    /// <summary>A listener becomes a bound socket again; who waits there is reset.</summary>
    public void Unlisten(Tcb* t)
    {
        if (t->State == TcpState.Listen)
        {
            EndChildren(t);
            t->State = TcpState.Closed;
            Unclaim(t->Local, t->LocalPort);
        }
    }

    /// <summary>Starts connecting. The owner hears (<see cref="ITcpUser.Changed"/>) when it is established or has failed.</summary>
    public int Connect(Tcb* t, in Address local, in Address remote, ushort port)
    {
        if (t->State != TcpState.Closed || t->RemotePort != 0)
        {
            return Errno.IsConnected;
        }

        if (port == 0 || remote.IsMulticast || remote.IsBroadcast || remote.IsAny)
        {
            return port == 0 ? Errno.AddressNotAvailable : Errno.NetworkUnreachable;
        }

        if (!_stack.IsLocal(local) || local.IsV4 != remote.IsV4)
        {
            return Errno.AddressNotAvailable;
        }

        if (!_stack.IsLocal(remote) && !_stack.Routes.TryNextHop(remote, out _))
        {
            return Errno.NetworkUnreachable;
        }

        ushort localPort = t->LocalPort;
        if (localPort == 0)
        {
            localPort = PickPort(local, remote, port);
            if (localPort == 0)
            {
                return Errno.AddressNotAvailable;
            }
        }
        else if (Find(local, remote, localPort, port, out _) != null)
        {
            return Errno.AddressInUse;
        }

        if (_timeWaits.Find(local, remote, localPort, port) is var old && old != null)
        {
            _timeWaits.Remove(old); // RFC 6191: timestamps, or the clock behind initial sequence numbers, tell the two apart.
        }

        t->Local = local;
        t->LocalPort = localPort;
        t->Remote = remote;
        t->RemotePort = port;
        InitSending(t, NewIss(t));
        InitReceiving(t);
        t->State = TcpState.SynSent;
        Enter(t);
        if (_options.RequestEcn)
        {
            t->Flags |= TcbFlag.Ecn;
        }

        if (WaitsForData(t))
        {
            t->FastOpen |= FastOpenBit.Deferred;
        }
        else
        {
            SendSyn(t);
        }

        return 0;
    }

    /// <summary>A connection that waits at a listener, or null. It is the caller's from now on.</summary>
    public static Tcb* Accept(Tcb* listener)
    {
        Tcb* t = listener->Ready.First;
        if (t != null)
        {
            Orphan(t);
        }

        return t;
    }

    /// <summary>
    /// More bytes are to be sent; <see cref="ITcpUser.Gather"/> knows where they lie until <see cref="ITcpUser.Acked"/>. They are sent
    /// at the end of the turn. <paramref name="more"/>: others follow at once (MSG_MORE).
    /// </summary>
    public void Write(Tcb* t, uint bytes, bool more)
    {
        t->WriteSeq += bytes;
        t->Flags = more ? t->Flags | TcbFlag.More : (t->Flags & ~TcbFlag.More) | TcbFlag.PushPending;
        Pend(t);
    }

    /// <summary>No more will be written: FIN follows what was (RFC 9293, 3.6).</summary>
    public void Shutdown(Tcb* t)
    {
        if (t->IsFlag(TcbFlag.FinQueued))
        {
            return;
        }

        switch (t->State)
        {
            case TcpState.SynSent:
                SendDeferred(t);
                break;
            case TcpState.SynReceived:
            case TcpState.Established:
                t->Flags |= TcbFlag.FinQueued;
                Pend(t);
                break;
            case TcpState.CloseWait:
                t->Flags |= TcbFlag.FinQueued;
                Pend(t);
                break;
            default:
                break;
        }
    }

    /// <summary>
    /// The owner lets go of a connection that has nothing left to send from its memory (<see cref="Tcb.Buffered"/> is 0), or of a listener. What is left of the
    /// closing is done by the stack alone.
    /// </summary>
    public void Detach(Tcb* t)
    {
        t->User = null;
        if (t->State is TcpState.Closed or TcpState.Listen or TcpState.SynSent)
        {
            EndChildren(t);
            Free(t);
            return;
        }

        // RFC 2525, 2.17; RFC 9293, 3.6.1: with data that nobody read, the peer is told by RST.
        if (t->Unread != 0)
        {
            Abort(t);
            return;
        }

        DropBlocks(t);
        Shutdown(t);
        if (t->State == TcpState.FinWait2)
        {
            StartLife(t, FinWait2Timeout);
        }
        else
        {
            StartLife(t, OrphanTimeout);
        }
    }

    /// <summary>Ends a connection with RST (RFC 9293, 3.10.5). The pointer is dead after this.</summary>
    public void Abort(Tcb* t)
    {
        t->User = null;
        EndChildren(t);
        if (t->State is TcpState.SynReceived or TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2 or TcpState.CloseWait
            or TcpState.Closing or TcpState.LastAck)
        {
            SendReset(t);
        }

        if (t->Parent != null)
        {
            Orphan(t);
        }

        Free(t);
    }

    /// <summary>Gives the owner what waits, and opens the window.</summary>
    public void Pull(Tcb* t)
    {
        uint before = t->RcvRead;
        if (t->Unread != 0)
        {
            DeliverQueued(t);
        }

        if (t->RcvRead != before && t->State is TcpState.Established or TcpState.FinWait1 or TcpState.FinWait2)
        {
            UpdateWindow(t);
        }
    }

    /// <summary>Nobody will read: what waits is thrown away, and what comes too.</summary>
    public void ShutRead(Tcb* t) => t->Flags |= TcbFlag.ReadShut;

    /// <summary>TCP_NODELAY, TCP_CORK, SO_KEEPALIVE, TCP_QUICKACK.</summary>
    public void SetNoDelay(Tcb* t, bool on) => SetFlag(t, TcbFlag.NoDelay, on);

    /// <summary>TCP_CORK.</summary>
    public void SetCork(Tcb* t, bool on) => SetFlag(t, TcbFlag.Cork, on);

    /// <summary>TCP_QUICKACK.</summary>
    public void SetQuickAck(Tcb* t, bool on)
    {
        SetFlag(t, TcbFlag.QuickAck, on);
        if (on && t->UnackedBytes != 0)
        {
            t->Flags |= TcbFlag.AckNow;
        }
    }

    /// <summary>SO_KEEPALIVE (RFC 9293, 3.8.4).</summary>
    public void SetKeepAlive(Tcb* t, bool on)
    {
        SetFlag(t, TcbFlag.KeepAlive, on);
        if (on && t->State is TcpState.Established or TcpState.CloseWait)
        {
            t->KeepProbes = 0;
            StartLife(t, t->KeepIdle * 1_000_000L);
        }
    }

    /// <summary>TCP_KEEPIDLE (tcp(7)), seconds; of a connection that is up, counted from what came last, as Linux does.</summary>
    public void SetKeepIdle(Tcb* t, uint seconds)
    {
        t->KeepIdle = seconds;
        if (t->IsFlag(TcbFlag.KeepAlive) && t->State is TcpState.Established or TcpState.CloseWait)
        {
            long idle = Now - Math.Max(t->LastReceived, t->LastAckReceived);
            StartLife(t, Math.Max(0, (seconds * 1_000_000L) - idle));
        }
    }

    /// <summary>Whether an option is set.</summary>
    public static (bool NoDelay, bool Cork, bool KeepAlive, bool QuickAck) OptionsOf(Tcb* t) =>
        (t->IsFlag(TcbFlag.NoDelay), t->IsFlag(TcbFlag.Cork), t->IsFlag(TcbFlag.KeepAlive), t->IsFlag(TcbFlag.QuickAck));

    /// <summary>TCP_CONGESTION. Changing it keeps the window.</summary>
    public static void SetCongestion(Tcb* t, CongestionControl control)
    {
        t->Congestion = control.Index;
        if (t->State is not (TcpState.Closed or TcpState.Listen))
        {
            control.Init(t);
        }
    }

    /// <summary>SO_RCVBUF: a fixed buffer.</summary>
    public static void SetReceiveBuffer(Tcb* t, uint bytes)
    {
        t->UserReceiveBuffer = bytes < 2048 ? 2048 : bytes;
        t->RcvBuf = t->UserReceiveBuffer;
    }

    /// <summary>Sends at once what is allowed, before a reset.</summary>
    public void SendNow(Tcb* t) => Output(t);

    /// <summary>SO_RCVBUF as it is now.</summary>
    public uint ReceiveBufferOf(Tcb* t) => t->RcvBuf != 0 ? t->RcvBuf : t->UserReceiveBuffer != 0 ? t->UserReceiveBuffer : _options.InitialReceiveBuffer;

    /// <summary>TCP_MAXSEG: what a segment holds.</summary>
    public static uint MssOf(Tcb* t) => t->Mss != 0 ? t->Mss : t->UserMss != 0 ? t->UserMss : DefaultMss;

    /// <summary>Gives a second socket what was set on the first.</summary>
    public void CopyOptions(Tcb* from, Tcb* to)
    {
        const uint Kept = TcbFlag.NoDelay | TcbFlag.Cork | TcbFlag.KeepAlive | TcbFlag.QuickAck;
        to->Flags = (to->Flags & ~Kept) | (from->Flags & Kept);
        to->Congestion = from->Congestion;
        to->Tos = from->Tos;
        to->Ttl = from->Ttl;
        to->KeepIdle = from->KeepIdle;
        to->KeepInterval = from->KeepInterval;
        to->KeepCount = from->KeepCount;
        to->DeferAccept = from->DeferAccept;
        to->SynCount = from->SynCount;
        to->UserTimeout = from->UserTimeout;
        to->UserMss = from->UserMss;
        to->UserReceiveBuffer = from->UserReceiveBuffer;
        to->MaxPacingRate = from->MaxPacingRate;
        to->FastOpenMost = from->FastOpenMost;
    }

    private void SetFlag(Tcb* t, uint flag, bool on)
    {
        t->Flags = on ? t->Flags | flag : t->Flags & ~flag;
        if (t->State is not (TcpState.Closed or TcpState.Listen))
        {
            Pend(t);
        }
    }

    private uint BoundBucket(in Address local, ushort port) => _random.TableHash(local, default, port, 0) % BoundBuckets;

    private bool Conflicts(Tcb* t, in Address local, ushort port, bool anyAtAll)
    {
        for (Tcb* other = _bound[BoundBucket(local, port)]; other != null; other = other->BindNext)
        {
            if (other == t || other->LocalPort != port || other->Local != local)
            {
                continue;
            }

            bool bothPorts = other->IsFlag(TcbFlag.ReusePort) && t->IsFlag(TcbFlag.ReusePort);
            bool bothAddresses = other->IsFlag(TcbFlag.ReuseAddress) && t->IsFlag(TcbFlag.ReuseAddress) && other->State != TcpState.Listen;
            if (anyAtAll || !(bothPorts || bothAddresses))
            {
                return true;
            }
        }

        return false;
    }

    private void Unbind(Tcb* t)
    {
        if (!t->IsFlag(TcbFlag.Bound))
        {
            return;
        }

        Tcb** at = &_bound[BoundBucket(t->Local, t->LocalPort)];
        while (*at != t)
        {
            at = &(*at)->BindNext;
        }

        *at = t->BindNext;
        t->Flags &= ~TcbFlag.Bound;
        Unclaim(t->Local, t->LocalPort);
    }

    /// <summary>A port that no connection to that peer has (RFC 6056, algorithm 3: a keyed hash of the peer, and a counter).</summary>
    private ushort PickPort(in Address local, in Address remote, ushort remotePort)
    {
        ulong offset = _random.Hash(local, remote, 0, remotePort, 1);
        for (uint i = 0; i < EphemeralPorts; i++)
        {
            ushort port = (ushort)(FirstEphemeral + ((offset + _portClock++) % EphemeralPorts));
            if (Find(local, remote, port, remotePort, out _) == null && _timeWaits.Find(local, remote, port, remotePort) == null && !HasListener(local, port)
                && IsOurs(local, remote, port, remotePort))
            {
                return port;
            }
        }

        return 0;
    }

    private bool HasListener(in Address local, ushort port) => FindListener(local, port, 0) != null;

    private void EndChildren(Tcb* t)
    {
        while (t->Embryos.First != null)
        {
            EndChild(t->Embryos.First);
        }

        while (t->Ready.First != null)
        {
            EndChild(t->Ready.First);
        }

        void EndChild(Tcb* child)
        {
            SendReset(child);
            Orphan(child);
            Free(child);
        }
    }
}
