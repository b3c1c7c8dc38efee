namespace NetKernel.Stack;

/// <content>Segments on their way out: headers and options.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>
    /// Builds the header of a segment of an established connection, with the newest acknowledgement (which is then no more owed). Returns the payload that one segment holds.
    /// </summary>
    private uint PutHeader(Tcb* t, uint seq, byte flags, ref OutFrame frame)
    {
        byte* p = _stack.TransportHeader;
        byte* at = p + Field.TcpLength;
        uint mss = t->Mss;
        if (t->IsFlag(TcbFlag.Timestamps))
        {
            *(uint*)at = TcpSegment.TimestampPrefix;
            Wire.U32(at + 4, (uint)(Now / 1000) + t->TsOffset);
            Wire.U32(at + 8, t->TsRecent);
            at += 12;
        }

        if (t->SackBlocks != 0 || t->DsackFrom != t->DsackTo)
        {
            // Options come out of the payload's space (RFC 6691). A segment that would need two frames then goes without: what came out of order has been told by an ACK of its own.
            uint most = mss > 100 ? mss - 36 : 0;
            if (frame.PayloadLength <= most || (most != 0 && _stack.Link.MaxGso >= frame.PayloadLength))
            {
                byte* before = at;
                at = PutSacks(t, at);
                mss -= (uint)(at - before);
            }
        }

        uint window = Window(t);
        if (t->IsFlag(TcbFlag.EchoCe))
        {
            flags |= TcpFlag.Ece;
        }

        uint scaled = window >> t->RcvScale;
        Wire.U16(p + Field.TcpSource, t->LocalPort);
        Wire.U16(p + Field.TcpDestination, t->RemotePort);
        Wire.U32(p + Field.TcpSeq, seq);
        Wire.U32(p + Field.TcpAck, t->RcvNxt);
        p[Field.TcpOffset] = (byte)((at - p) << 2);
        p[Field.TcpFlags] = flags;
        Wire.U16(p + Field.TcpWindow, scaled > 65535 ? 65535 : scaled);
        *(uint*)(p + Field.TcpChecksum) = 0;
        frame.Header = p;
        frame.HeaderLength = (uint)(at - p);
        t->LastAckSent = t->RcvNxt;
        t->UnackedBytes = 0;
        t->Flags &= ~TcbFlag.AckNow;
        _stack.Wheel.Cancel(&t->AckTimer);
        return mss;
    }

    /// <summary>RFC 2018, 3 and 4: the newest block first; RFC 2883: a duplicate before it, once.</summary>
    private static byte* PutSacks(Tcb* t, byte* at)
    {
        byte* head = at;
        int most = t->IsFlag(TcbFlag.Timestamps) ? 3 : 4, count = 0;
        at += 4;
        if (t->DsackFrom != t->DsackTo)
        {
            Wire.U32(at, t->DsackFrom);
            Wire.U32(at + 4, t->DsackTo);
            at += 8;
            count++;
            t->DsackFrom = t->DsackTo = 0;
        }

        for (int i = 0; i < t->SackBlocks && count < most; i++, count++)
        {
            Wire.U32(at, t->Sacks[2 * i]);
            Wire.U32(at + 4, t->Sacks[(2 * i) + 1]);
            at += 8;
        }

        head[0] = head[1] = TcpOption.Nop;
        head[2] = TcpOption.Sack;
        head[3] = (byte)(2 + (8 * count));
        return at;
    }

    private void Send(Tcb* t, byte ecn, ref OutFrame frame)
    {
        _counters.SegmentsOut++;
        int error = _stack.SendIp(t->Local, t->Remote, Protocol.Tcp, (byte)((t->Tos & 0xFC) | ecn), t->Ttl, mayFragment: false, Field.TcpChecksum, ref frame);
        if (error != 0)
        {
            t->SoftError = error;
        }
    }

    private void SendAck(Tcb* t)
    {
        if (t->State == TcpState.SynReceived)
        {
            return;
        }

        OutFrame frame = default;
        _ = PutHeader(t, t->SndNxt, TcpFlag.Ack, ref frame);
        t->SegmentsOut++;
        Send(t, 0, ref frame);
    }

    /// <summary>A segment with an old sequence number, which the peer must answer (a keep-alive or window probe; 3.8.4, 3.8.6.1).</summary>
    private void SendProbe(Tcb* t)
    {
        OutFrame frame = default;
        _ = PutHeader(t, t->SndUna - 1, TcpFlag.Ack, ref frame);
        t->SegmentsOut++;
        Send(t, 0, ref frame);
    }

    private void SendReset(Tcb* t)
    {
        _counters.ResetsSent++;
        OutFrame frame = default;
        _ = PutHeader(t, t->SndNxt, TcpFlag.Rst | TcpFlag.Ack, ref frame);
        Send(t, 0, ref frame);
    }

    /// <summary>SYN, or SYN-ACK, with all options (RFC 9293, 3.1; RFC 7323; RFC 2018; RFC 3168, 6.1.1).</summary>
    private void SendSyn(Tcb* t)
    {
        bool early = (t->FastOpen & FastOpenBit.Early) != 0;
        bool answer = t->State == TcpState.SynReceived || early;
        byte* p = _stack.TransportHeader;
        byte* options = p + Field.TcpLength;
        byte* at = options;
        at[0] = TcpOption.Mss;
        at[1] = 4;
        Wire.U16(at + 2, OwnMss(t->Remote, t->UserMss));
        at += 4;
        if (!answer || t->IsFlag(TcbFlag.Sack))
        {
            Wire.U32(at, 0x01010402);
            at += 4;
        }

        if (!answer || t->IsFlag(TcbFlag.Timestamps))
        {
            *(uint*)at = TcpSegment.TimestampPrefix;
            Wire.U32(at + 4, (uint)(Now / 1000) + t->TsOffset);
            Wire.U32(at + 8, t->TsRecent);
            at += 12;
        }

        if (!answer || t->IsFlag(TcbFlag.WindowScale))
        {
            Wire.U32(at, 0x01030300u | OwnScale());
            at += 4;
        }

        at = PutFastOpen(t, options, at, answer, out uint most);
        byte flags = answer ? (byte)(TcpFlag.Syn | TcpFlag.Ack) : TcpFlag.Syn;
        bool wantEcn = _options.RequestEcn || CongestionControl.Of(t).NeedsEcn;
        if (answer ? t->IsFlag(TcbFlag.Ecn) : wantEcn && t->SynRetries < 2)
        {
            flags |= answer ? TcpFlag.Ece : (byte)(TcpFlag.Ece | TcpFlag.Cwr); // 6.1.1.1: not asked for again when nobody answers.
            t->Flags |= TcbFlag.Ecn;
        }

        uint window = InitialWindow(t);
        if (answer)
        {
            t->RcvAdv = early ? Seq.Max(t->RcvAdv, t->RcvNxt + window) : t->RcvNxt + window;
            t->LastAckSent = t->RcvNxt;
        }

        const int MostPieces = 16;
        Extent* pieces = stackalloc Extent[MostPieces];
        uint count = 0, data = 0;
        most = Math.Min(most, t->WriteSeq - (t->Iss + 1));
        if (most != 0 && t->User != null)
        {
            count = _user.Gather(t, 0, most, pieces, MostPieces, out data);
            t->FastOpenBytes = (ushort)data;
            t->BytesSent += data;
            t->DataSegmentsOut += data != 0 ? 1u : 0;
        }

        // Data in a SYN that is lost goes again when the connection is open; its acknowledgement may still come.
        t->SndNxt = early ? t->SndNxt : t->Iss + 1 + t->FastOpenBytes;
        t->LastSent = Now;
        t->SegmentsOut++;
        SendRaw(t->Local, t->Remote, t->LocalPort, t->RemotePort, t->Iss, answer ? t->RcvNxt : 0, flags, (ushort)window, (uint)(at - options), t->Tos, t->Ttl,
            pieces, count, data);
        StartRetransmit(t, RetransmitTimer.Timeout, t->Rto << t->Backoff);
    }

    /// <summary>A segment of no connection, or a SYN, whose options lie behind the header already.</summary>
    private void SendRaw(in Address local, in Address remote, ushort localPort, ushort remotePort, uint seq, uint ack, byte flags, ushort window,
        uint optionBytes, byte tos, byte ttl, Extent* pieces = null, uint pieceCount = 0, uint bytes = 0)
    {
        byte* p = _stack.TransportHeader;
        Wire.U16(p + Field.TcpSource, localPort);
        Wire.U16(p + Field.TcpDestination, remotePort);
        Wire.U32(p + Field.TcpSeq, seq);
        Wire.U32(p + Field.TcpAck, ack);
        p[Field.TcpOffset] = (byte)((Field.TcpLength + optionBytes) << 2);
        p[Field.TcpFlags] = flags;
        Wire.U16(p + Field.TcpWindow, window);
        *(uint*)(p + Field.TcpChecksum) = 0;
        OutFrame frame = default;
        frame.Header = p;
        frame.HeaderLength = Field.TcpLength + optionBytes;
        frame.Payload = pieces;
        frame.PayloadCount = pieceCount;
        frame.PayloadLength = bytes;
        _counters.SegmentsOut++;
        _ = _stack.SendIp(local, remote, Protocol.Tcp, (byte)(tos & 0xFC), ttl, mayFragment: false, Field.TcpChecksum, ref frame);
    }

    private void SendBare(in Address local, in Address remote, ushort localPort, ushort remotePort, uint seq, uint ack, byte flags, ushort window,
        bool timestamps, uint tsValue, uint tsEcho, byte tos)
    {
        byte* at = _stack.TransportHeader + Field.TcpLength;
        if (timestamps)
        {
            *(uint*)at = TcpSegment.TimestampPrefix;
            Wire.U32(at + 4, tsValue);
            Wire.U32(at + 8, tsEcho);
        }

        SendRaw(local, remote, localPort, remotePort, seq, ack, flags, window, timestamps ? 12u : 0, tos, 64);
    }
}
