namespace NetKernel.Stack;

/// <content>TIME-WAIT (RFC 9293, 3.6 and 3.10.7.4; RFC 6191).</content>
public sealed unsafe partial class TcpLayer
{
    private readonly TimeWaitTable _timeWaits;

    /// <summary>
    /// Both directions are closed, and our last ACK may be lost. A connection whose owner is still there stays as it is, in the table's place, until the owner lets go:
    /// it can neither send nor receive.
    /// </summary>
    private void EnterTimeWait(Tcb* t)
    {
        TimeWait* w = _timeWaits.Add(t->Local, t->Remote, t->LocalPort, t->RemotePort, Now + _options.TimeWait);
        if (w != null)
        {
            w->SndNxt = t->SndNxt;
            w->RcvNxt = t->RcvNxt;
            w->RcvWnd = t->RcvAdv - t->RcvNxt;
            w->TsRecent = t->TsRecent;
            w->TsOffset = t->TsOffset;
            w->Timestamps = t->IsFlag(TcbFlag.Timestamps);
            w->Tos = t->Tos;
            ArmTimeWait();
        }

        if (t->IsFlag(TcbFlag.AckNow))
        {
            SendAck(t);
        }

        End(t, 0);
    }

    private void ArmTimeWait()
    {
        if (!_timeWaitTimer->IsArmed && _timeWaits.NextEnd != long.MaxValue)
        {
            // Once in a while is enough: nothing depends on the exact end.
            _stack.Wheel.Set(_timeWaitTimer, _timeWaits.NextEnd + 100_000);
        }
    }

    /// <summary>A segment for a connection in TIME-WAIT. True: it is a SYN that may open the next connection.</summary>
    private bool TimeWaitSegment(TimeWait* w, ref TcpSegment s, out uint leastIss)
    {
        leastIss = 0;
        if (s.Has(TcpFlag.Rst))
        {
            return false; // RFC 1337: a reset must not end TIME-WAIT early.
        }

        if (s.Has(TcpFlag.Syn) && !s.Has(TcpFlag.Ack))
        {
            // RFC 6191, 2: a later timestamp, or (RFC 9293, 3.10.7.4) a sequence number beyond the last one, shows that it is not an old duplicate.
            bool later = w->Timestamps && s.HasTimestamp ? Seq.After(s.TsValue, w->TsRecent) : Seq.After(s.Seq, w->RcvNxt);
            if (later || (w->Timestamps && s.HasTimestamp && s.TsValue == w->TsRecent && Seq.After(s.Seq, w->RcvNxt)))
            {
                leastIss = w->SndNxt + 65537;
                _timeWaits.Remove(w);
                return true;
            }
        }

        if (s.Has(TcpFlag.Fin))
        {
            _timeWaits.Restart(w, Now + _options.TimeWait); // 3.10.7.4, eighth: restart the 2 MSL timeout.
        }

        if (s.Span != 0)
        {
            SendBare(w->Local, w->Remote, w->LocalPort, w->RemotePort, w->SndNxt, w->RcvNxt, TcpFlag.Ack, (ushort)Math.Min(w->RcvWnd, 65535),
                w->Timestamps, (uint)(Now / 1000) + w->TsOffset, w->TsRecent, w->Tos);
        }

        return false;
    }
}
