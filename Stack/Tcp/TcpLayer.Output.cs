namespace NetKernel.Stack;

/// <content>What to send and when (RFC 9293, 3.8): lost segments first, then new data within the windows; Nagle, silly windows, pacing.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>Frames per connection and turn, so that one does not hold up the others.</summary>
    private const int FramesPerTurn = 64;

    /// <summary>Sends everything that windows and pacing allow.</summary>
    private void Output(Tcb* t)
    {
        if (t->State is not (TcpState.Established or TcpState.CloseWait or TcpState.FinWait1 or TcpState.Closing or TcpState.LastAck))
        {
            return;
        }

        bool limited = false;
        int frames = 0;
        for (; frames < FramesPerTurn; frames++)
        {
            if (t->PacingRate != 0 && t->NextSend > Now && HasWork(t))
            {
                if (!t->PaceTimer.IsArmed)
                {
                    _stack.Wheel.Set(&t->PaceTimer, t->NextSend);
                }

                break;
            }

            uint pipe = t->Pipe;
            TxSegment* lost = t->LostBytes != 0 && t->Forward != ForwardRto.NewFirst ? NextLost(t) : null;
            if (lost != null)
            {
                // After a timeout, and at the start of a recovery, the first goes whatever the window says.
                if (pipe >= t->Cwnd && t->RetransBytes != 0)
                {
                    limited = true;
                    break;
                }

                uint room = t->Cwnd > pipe ? t->Cwnd - pipe : t->Mss;
                if (!Retransmit(t, lost, room))
                {
                    break;
                }

                continue;
            }

            if (t->BlackHoleMtu != 0)
            {
                bool roomSoon = false;
                if (ProbePath(t, pipe, ref roomSoon))
                {
                    continue;
                }

                if (roomSoon)
                {
                    limited = true;
                    break;
                }
            }

            if (!SendNew(t, pipe, ref limited))
            {
                break;
            }
        }

        if (frames == FramesPerTurn)
        {
            _stack.Wheel.Set(&t->PaceTimer, Now); // The rest in the next turn.
        }

        uint unsent = t->WriteSeq - t->SndNxt;
        bool waits = Seq.After(t->WriteSeq, t->SndNxt);
        Turn(t, waits && !limited && t->SndUna + t->SndWnd - t->SndNxt is var window && (window < Math.Min(unsent, t->Mss) || (int)window < 0) ? SendPhase.Window
            : waits || t->TxFirst != null ? SendPhase.Busy : SendPhase.Idle);

        // RFC 7661 in spirit: a window that was not used is no measure of the path. In slow start half of it used is enough.
        bool used = limited || (t->Cwnd < t->Ssthresh && t->SndNxt - t->SndUna >= t->Cwnd / 2);
        t->Flags = used ? t->Flags | TcbFlag.CwndLimited : t->Flags & ~TcbFlag.CwndLimited;
        if (!limited && t->WriteSeq == t->SndNxt && t->LostBytes == 0)
        {
            t->AppLimitedAt = Math.Max(1, t->Delivered + t->Pipe);
        }
    }

    private static bool HasWork(Tcb* t) => t->LostBytes > t->RetransBytes || Seq.After(t->WriteSeq, t->SndNxt);

    private static TxSegment* NextLost(Tcb* t)
    {
        for (TxSegment* x = t->TxFirst; x != null; x = x->Next)
        {
            if ((x->Flags & (TxSegment.Lost | TxSegment.Retransmitted)) == TxSegment.Lost)
            {
                return x;
            }
        }

        return null;
    }

    /// <summary>Sends a segment again, as much of it as the room allows but at least one full-sized one.</summary>
    private bool Retransmit(Tcb* t, TxSegment* x, uint room)
    {
        uint most = Math.Max(_stack.Link.MaxGso, (uint)t->Mss) / t->Mss * t->Mss;
        room = Math.Max(room / t->Mss * t->Mss, t->Mss);
        most = most < room ? most : room;
        if (x->Length > most && Split(t, x, most) == null)
        {
            return false;
        }

        if (t->UndoStamp == 0)
        {
            t->UndoStamp = (uint)(Now / 1000) + t->TsOffset;
        }

        t->UndoRetrans++;
        uint segments = (x->Length + t->Mss - 1) / t->Mss;
        t->TotalRetransmits += segments;
        t->BytesRetransmitted += x->Length;
        _counters.Retransmits += segments;
        if (!x->Is(TxSegment.Retransmitted))
        {
            x->Flags |= TxSegment.Retransmitted | TxSegment.EverRetransmitted;
            t->RetransBytes += x->Length;
        }

        t->PrrOut += x->Length;
        Stamp(t, x);
        SendData(t, x->Start, x->Length - (x->Is(TxSegment.Fin) ? 1u : 0), x->Is(TxSegment.Fin), push: true, again: true);
        if (t->TimerMode is RetransmitTimer.Idle or RetransmitTimer.TailLoss)
        {
            StartRetransmit(t, RetransmitTimer.Timeout, t->Rto << t->Backoff);
        }

        return true;
    }

    /// <summary>Sends one frame of new data, or the FIN. False: nothing more can be sent now.</summary>
    private bool SendNew(Tcb* t, uint pipe, ref bool limited, uint most = uint.MaxValue)
    {
        if (t->State is not (TcpState.Established or TcpState.CloseWait))
        {
            return false;
        }

        uint unsent = t->WriteSeq - t->SndNxt;
        bool fin = t->IsFlag(TcbFlag.FinQueued);
        if (unsent == 0 && !fin)
        {
            return false;
        }

        uint right = t->SndUna + t->SndWnd;
        uint window = Seq.After(right, t->SndNxt) ? right - t->SndNxt : 0;
        uint cwnd = t->Cwnd + (t->IsFlag(TcbFlag.Sack) || t->CaState > CaState.Disorder ? 0 : Math.Min(t->DupAcks, 2u) * t->Mss); // RFC 3042
        uint room = cwnd > pipe ? cwnd - pipe : 0;
        if (unsent != 0 && room < t->Mss && room < unsent && (pipe != 0 || room == 0))
        {
            limited = true;
            return false;
        }

        uint length = unsent < window ? unsent : window;
        length = length < room ? length : room;
        uint gso = t->Mss;
        if (_stack.Link.MaxGso > gso)
        {
            gso = _stack.Link.MaxGso / t->Mss * t->Mss;
        }

        if (t->PacingRate != 0)
        {
            // About a millisecond's worth, so that a burst is short.
            uint quantum = (uint)Math.Min(gso, t->PacingRate / 1000);
            gso = Math.Max(quantum / t->Mss, 2) * t->Mss < gso ? Math.Max(quantum / t->Mss, 2) * t->Mss : gso;
        }

        gso = gso < most ? gso : most;
        length = length < gso ? length : gso;
        if (length < unsent)
        {
            uint whole = length / t->Mss * t->Mss;
            if (whole != 0)
            {
                length = whole;
            }
            else if (window < unsent && window < t->Mss && (window == 0 || window < t->MaxWnd / 2))
            {
                // 3.8.6.2.1: not worth sending. With nothing in flight only a probe finds out when it opens (3.8.6.1).
                if (t->TxFirst == null && t->TimerMode == RetransmitTimer.Idle)
                {
                    StartRetransmit(t, RetransmitTimer.Persist, t->Rto);
                }

                return false;
            }
        }
        else if (length % t->Mss != 0 && !fin && HoldsTail(t))
        {
            length -= length % t->Mss;
            if (length == 0)
            {
                return false;
            }
        }

        fin &= length == unsent;
        if (fin && window < length + 1 && window != 0 && length != 0)
        {
            fin = false; // FIN follows alone; a closed window does not hold it up.
        }

        TxSegment* x = (TxSegment*)_segments.Take();
        if (x == null)
        {
            if (t->TxFirst == null)
            {
                StartRetransmit(t, RetransmitTimer.Persist, t->Rto);
            }

            return false;
        }

        *x = default;
        x->Start = t->SndNxt;
        bool push = length == unsent;
        uint sent = SendData(t, t->SndNxt, length, fin, push, again: false);
        if (sent < length)
        {
            fin = false;
            length = sent;
            if (sent == 0)
            {
                _segments.Give(x);
                return false;
            }
        }

        x->Length = length + (fin ? 1u : 0);
        x->Flags = (ushort)((fin ? TxSegment.Fin : 0) | (t->AppLimitedAt != 0 ? TxSegment.AppLimited : 0));
        if (t->TxFirst == null)
        {
            t->FirstSentTime = t->DeliveredTime = Now;
            if (t->AppLimitedAt != 0)
            {
                CongestionControl.Of(t).Restarted(t);
            }
        }

        Stamp(t, x);
        x->Previous = t->TxLast;
        if (t->TxLast != null)
        {
            t->TxLast->Next = x;
        }
        else
        {
            t->TxFirst = x;
        }

        t->TxLast = x;
        t->SndNxt += x->Length;
        t->PrrOut += x->Length;
        if (length % t->Mss != 0)
        {
            t->SmallEnd = t->SndNxt;
        }

        if (fin)
        {
            t->Flags |= TcbFlag.FinSent;
            t->State = t->State == TcpState.Established ? TcpState.FinWait1 : TcpState.LastAck;
        }

        ArmForNew(t);
        return true;
    }

    /// <summary>
    /// Whether a segment that is not full waits for more: corked, or (Nagle, 3.7.4, as refined by Minshall) an earlier small one is not acknowledged yet.
    /// </summary>
    private bool HoldsTail(Tcb* t)
    {
        if (t->IsFlag(TcbFlag.Cork) || (t->IsFlag(TcbFlag.More) && t->TxFirst != null))
        {
            if (t->TxFirst == null && t->TimerMode == RetransmitTimer.Idle)
            {
                StartRetransmit(t, RetransmitTimer.Persist, 200_000); // tcp(7): a cork holds for 200 ms.
            }

            return true;
        }

        return !t->IsFlag(TcbFlag.NoDelay) && Seq.After(t->SmallEnd, t->SndUna) && t->SndUna != t->SndNxt;
    }

    private void Stamp(Tcb* t, TxSegment* x)
    {
        x->Sent = Now;
        x->Delivered = t->Delivered;
        x->DeliveredTime = t->DeliveredTime;
        x->FirstSent = t->FirstSentTime;
        t->LastSent = Now;
        if (t->PacingRate != 0)
        {
            long from = t->NextSend > Now - 2000 ? t->NextSend : Now;
            t->NextSend = from + (long)(x->Length * 1_000_000ul / t->PacingRate);
        }
    }

    /// <summary>Sends a frame of data, in segments of the connection's size. Returns the bytes that the owner could name.</summary>
    private uint SendData(Tcb* t, uint seq, uint length, bool fin, bool push, bool again)
    {
        const uint Most = 64;
        Extent* pieces = stackalloc Extent[(int)Most];
        uint found = 0, count = 0;
        if (length != 0)
        {
            count = t->User == null ? 0 : _user.Gather(t, seq - t->SndUna, length, pieces, Most, out found);
            if (found < length)
            {
                fin = false;
                if (found == 0)
                {
                    return 0;
                }
            }
        }

        byte flags = (byte)(TcpFlag.Ack | (fin ? TcpFlag.Fin : 0) | (push && length != 0 ? TcpFlag.Psh : 0));
        byte ecn = 0;
        if (t->IsFlag(TcbFlag.Ecn) && found != 0 && !again)
        {
            ecn = 2; // RFC 3168, 6.1.5: retransmissions are not marked as capable.
            if (t->IsFlag(TcbFlag.SendCwr))
            {
                flags |= TcpFlag.Cwr;
                t->Flags &= ~TcbFlag.SendCwr;
                t->CwrEnd = seq + found; // What was sent before may still be echoed.
            }
        }

        OutFrame frame = default;
        frame.Payload = pieces;
        frame.PayloadCount = count;
        frame.PayloadLength = found;
        uint size = PutHeader(t, seq, flags, ref frame);
        frame.GsoSize = found > size ? size : 0;
        uint segments = found == 0 ? 1 : (found + size - 1) / size;
        t->SegmentsOut += segments;
        t->DataSegmentsOut += segments;
        t->BytesSent += found;
        Send(t, ecn, ref frame);
        return found;
    }
}
