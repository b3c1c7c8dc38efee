namespace NetKernel.Stack;

/// <summary>Bits of <see cref="Tcb.FastOpen"/>.</summary>
internal static class FastOpenBit
{
    public const byte
        Wanted = 1,    // our SYN asks for a cookie, or brings one
        Deferred = 2,  // our SYN waits for the first data
        Early = 4,     // open by a cookie; our SYN-ACK is not acknowledged
        Answer = 8,    // our SYN-ACK brings a cookie
        Used = 16;     // data in a SYN was taken
}

/// <content>Fast Open (RFC 7413): data in the SYN, for peers that have shown by a cookie that their address is theirs.</content>
public sealed unsafe partial class TcpLayer
{
    private const uint CookieBytes = 8;
    private readonly FastOpenCache _fastOpen;

    /// <summary>Connections that a cookie has opened and no ACK has confirmed (5.1: they are bounded, or spoofed addresses with stolen cookies would use up everything).</summary>
    private uint _early;

    /// <summary>Connections opened early and not yet confirmed.</summary>
    public uint EarlyConnections => _early;

    /// <summary>
    /// Starts connecting with Fast Open (TCP_FASTOPEN_CONNECT): with a cookie from an earlier connection the SYN waits for the first <see cref="Write"/> and takes data along
    /// (<see cref="IsDeferred"/>); without one it asks for a cookie.
    /// </summary>
    public int ConnectFast(Tcb* t, in Address local, in Address remote, ushort port)
    {
        t->FastOpen = FastOpenBit.Wanted;
        return Connect(t, local, remote, port);
    }

    /// <summary>The SYN waits for data: the owner may write as if it were connected.</summary>
    public static bool IsDeferred(Tcb* t) => (t->FastOpen & FastOpenBit.Deferred) != 0;

    /// <summary>Data in a SYN, ours or the peer's, was taken (TCPI_OPT_SYN_DATA).</summary>
    public static bool IsSynDataTaken(Tcb* t) => (t->FastOpen & FastOpenBit.Used) != 0;

    /// <summary>Whether the SYN of a connection waits for data.</summary>
    private bool WaitsForData(Tcb* t)
    {
        byte* cookie = stackalloc byte[FastOpenCache.MaxCookie];
        return (t->FastOpen & FastOpenBit.Wanted) != 0 && _fastOpen.Find(t->Remote, Now, cookie, out _) != 0;
    }

    /// <summary>Sends a SYN that waited for data.</summary>
    private void SendDeferred(Tcb* t)
    {
        if (IsDeferred(t))
        {
            t->FastOpen &= unchecked((byte)~FastOpenBit.Deferred);
            SendSyn(t);
        }
    }

    /// <summary>
    /// Puts the option into a SYN or SYN-ACK. <paramref name="most"/>: bytes of data that the SYN may have after it. A SYN that is sent again has neither: what carries options
    /// that a middlebox does not like may have been dropped for them (4.1.3.1).
    /// </summary>
    private byte* PutFastOpen(Tcb* t, byte* options, byte* at, bool answer, out uint most)
    {
        most = 0;
        if (answer)
        {
            if ((t->FastOpen & FastOpenBit.Answer) != 0)
            {
                Wire.U32(at, 0x0101_0000u | (TcpOption.FastOpen << 8) | (2 + CookieBytes));
                *(ulong*)(at + 4) = CookieFor(t->Local, t->Remote);
                at += 4 + CookieBytes;
            }

            return at;
        }

        if ((t->FastOpen & FastOpenBit.Wanted) == 0 || t->SynRetries != 0 || !_fastOpen.IsTrusted(t->Remote, Now))
        {
            return at;
        }

        byte* cookie = stackalloc byte[FastOpenCache.MaxCookie];
        int length = _fastOpen.Find(t->Remote, Now, cookie, out ushort mss);
        int padding = -(2 + length) & 3;
        if (at - options + padding + 2 + length > 40)
        {
            return at;
        }

        for (int i = 0; i < padding; i++)
        {
            *at++ = TcpOption.Nop;
        }

        at[0] = TcpOption.FastOpen;
        at[1] = (byte)(2 + length);
        for (int i = 0; i < length; i++)
        {
            at[2 + i] = cookie[i];
        }

        at += 2 + length;
        if (length != 0)
        {
            uint segment = Math.Min(mss != 0 ? mss : t->PeerMss, _stack.MtuTo(t->Remote) - (t->Remote.IsV4 ? (uint)(Field.V4Length + Field.TcpLength) : Field.V6Length + Field.TcpLength));
            most = segment > (uint)(at - options) ? segment - (uint)(at - options) : 0;
        }

        return at;
    }

    /// <summary>4.1.2: what only the owner of an address can have seen.</summary>
    private ulong CookieFor(in Address local, in Address remote) => _random.Hash(local, remote, 0, 0, 3);

    /// <summary>A SYN with the option came to a listener that offers Fast Open. True: it has opened the connection, and its data is taken.</summary>
    private bool TakeFastOpen(Tcb* listener, Tcb* t, ref TcpSegment s)
    {
        if (!s.HasFastOpen || listener->FastOpenMost == 0)
        {
            return false;
        }

        ulong cookie;
        fixed (byte* p = s.Cookie)
        {
            cookie = *(ulong*)p;
        }

        if (s.CookieLength != CookieBytes || cookie != CookieFor(t->Local, t->Remote))
        {
            t->FastOpen |= FastOpenBit.Answer; // A request, or one that has aged: a good one goes back, the data does not count.
            return false;
        }

        if (s.Length == 0 || _early >= listener->FastOpenMost)
        {
            return false;
        }

        _early++;
        t->FastOpen |= FastOpenBit.Early | FastOpenBit.Used;
        t->State = TcpState.Established;
        t->SndUna = t->SndNxt = t->Iss + 1;
        t->SndWl2 = t->SndUna;
        t->LastAckReceived = Now;
        InitWindow(t);
        t->TuneTime = Now;
        t->QuickAcks = 16;
        Enter(t);
        listener->Ready.Add(t);
        TcpSegment text = s;
        text.Seq++;
        text.Flags &= unchecked((byte)~TcpFlag.Syn);
        TakeText(t, ref text);
        SendSyn(t);
        t->Flags &= ~TcbFlag.AckNow; // The SYN-ACK says it all.
        t->UnackedBytes = 0;
        Tell(listener);
        return true;
    }

    /// <summary>The SYN-ACK of a connection that a cookie opened is acknowledged.</summary>
    private void Confirm(Tcb* t)
    {
        ForgetEarly(t);
        if (t->SynRetries == 0)
        {
            MeasureRtt(t, Now - t->Opened);
        }

        t->Backoff = 0;
        if (t->TimerMode == RetransmitTimer.Timeout)
        {
            Rearm(t);
        }

        if (t->IsFlag(TcbFlag.KeepAlive))
        {
            StartLife(t, t->KeepIdle * 1_000_000L);
        }
    }

    private void ForgetEarly(Tcb* t)
    {
        if ((t->FastOpen & FastOpenBit.Early) != 0)
        {
            t->FastOpen &= unchecked((byte)~FastOpenBit.Early);
            _early--;
        }
    }

    /// <summary>What the peer's SYN-ACK says about Fast Open; returns the bytes of the SYN's data that it acknowledges.</summary>
    private uint LearnFastOpen(Tcb* t, in TcpSegment s)
    {
        uint taken = s.Ack - (t->Iss + 1);
        taken = taken < t->FastOpenBytes ? taken : t->FastOpenBytes;
        if ((t->FastOpen & FastOpenBit.Wanted) == 0)
        {
            return taken;
        }

        const int LeastCookie = 4;
        if (s.HasFastOpen && s.CookieLength >= LeastCookie)
        {
            _fastOpen.Learn(t->Remote, in s);
        }
        else if (t->SynRetries != 0 && t->FastOpenBytes != 0 && taken == 0)
        {
            _fastOpen.Blame(t->Remote, Now);
        }

        t->FastOpen |= taken != 0 ? FastOpenBit.Used : (byte)0;
        return taken;
    }
}
