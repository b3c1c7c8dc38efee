namespace NetKernel.Stack;

/// <summary>
/// BBR, version 1 (draft-cardwell-iccrg-bbr-congestion-control-00): the rate follows the best delivery rate of ten round trips, the window twice the
/// bandwidth-delay product.
/// </summary>
internal sealed unsafe class Bbr(byte index) : CongestionControl(index)
{
    private const double HighGain = 2.885;
    private const long MinRttWindow = 10_000_000, ProbeRttTime = 200_000;

    private enum Mode : byte
    {
        Startup,
        Drain,
        ProbeBandwidth,
        ProbeRtt,
    }

    private struct State
    {
        public ulong NextRound;
        public ulong Bw0, Bw1, Bw2;
        public ulong FullBw;
        public long MinRtt, MinRttTime, CycleTime, ProbeRttDone;
        public uint Rounds, R0, R1, R2;
        public uint PriorCwnd;
        public byte Cycle, FullRounds;
        public Mode Mode;
        public bool Full, RoundStart, IdleRestart, ProbeRttRound;
    }

    public override string Name => "bbr";

    public override bool OwnsWindow => true;

    public override void Init(Tcb* t)
    {
        base.Init(t);
        State* s = (State*)t->Control;
        s->MinRtt = t->Srtt != 0 ? t->Srtt : long.MaxValue;
        s->MinRttTime = t->LastAckReceived;
        t->PacingRate = t->Srtt != 0 ? (ulong)(HighGain * t->Cwnd * 1e6 / t->Srtt) : 0;
    }

    public override uint SlowStartThreshold(Tcb* t)
    {
        ((State*)t->Control)->PriorCwnd = t->Cwnd;
        return t->Ssthresh;
    }

    public override void Acked(Tcb* t, in AckSample sample)
    {
    }

    /// <summary>4.3.4.4: after a pause the best rate known is taken up at once, without probing, and a least round trip that is old by then was not measured because nothing was sent.</summary>
    public override void Restarted(Tcb* t)
    {
        State* s = (State*)t->Control;
        s->IdleRestart = true;
        if (s->Mode == Mode.ProbeBandwidth && s->Bw0 != 0)
        {
            t->PacingRate = t->MaxPacingRate != 0 && s->Bw0 > t->MaxPacingRate ? t->MaxPacingRate : s->Bw0;
        }
    }

    public override void StateChanged(Tcb* t, CaState state)
    {
        State* s = (State*)t->Control;
        if (state == CaState.Open && s->PriorCwnd != 0)
        {
            t->Cwnd = Math.Max(t->Cwnd, s->PriorCwnd);
        }
    }

    public override void Sampled(Tcb* t, in AckSample sample)
    {
        State* s = (State*)t->Control;
        long now = t->LastAckReceived;
        s->RoundStart = false;
        if (sample.PriorDelivered != ulong.MaxValue && sample.PriorDelivered >= s->NextRound)
        {
            s->NextRound = t->Delivered;
            s->Rounds++;
            s->RoundStart = true;
        }

        if (sample.Interval > 0)
        {
            ulong bw = sample.RateBytes * 1_000_000 / (ulong)sample.Interval;
            if (!sample.IsAppLimited || bw >= s->Bw0)
            {
                MaxFilter(s, bw);
            }
        }

        CheckFull(s, in sample);
        CheckCycle(t, s, now);
        CheckDrain(t, s, now);
        CheckProbeRtt(t, s, in sample, now);
        double pacing = s->Mode switch
        {
            Mode.Startup => HighGain,
            Mode.Drain => 1 / HighGain,
            Mode.ProbeRtt => 1,
            _ => s->Cycle switch { 0 => 1.25, 1 => 0.75, _ => 1 },
        };
        if (s->Bw0 != 0)
        {
            ulong rate = (ulong)(s->Bw0 * pacing);
            if (s->Full || rate > t->PacingRate)
            {
                t->PacingRate = rate;
            }

            if (t->MaxPacingRate != 0 && t->PacingRate > t->MaxPacingRate)
            {
                t->PacingRate = t->MaxPacingRate;
            }
        }

        SetWindow(t, s, in sample);
    }

    private static ulong Bdp(State* s, double gain) => s->MinRtt == long.MaxValue ? 0 : (ulong)(gain * s->Bw0 * s->MinRtt / 1e6);

    private static void SetWindow(Tcb* t, State* s, in AckSample sample)
    {
        double gain = s->Mode is Mode.Startup or Mode.Drain ? HighGain : 2;
        ulong target = Bdp(s, gain);
        target = target == 0 ? t->Cwnd : target + (3ul * t->Mss);
        ulong cwnd = t->Cwnd;
        if (t->CaState == CaState.Recovery && sample.Lost != 0)
        {
            cwnd = cwnd > sample.Lost + t->Mss ? cwnd - sample.Lost : t->Mss; // packet conservation
            cwnd = Math.Max(cwnd, t->Pipe + (ulong)sample.Delivered);
        }
        else if (s->Full)
        {
            cwnd = Math.Min(cwnd + sample.Delivered, target);
        }
        else if (cwnd < target || t->Delivered < 10ul * t->Mss)
        {
            cwnd += sample.Delivered;
        }

        cwnd = Math.Max(cwnd, 4ul * t->Mss);
        if (s->Mode == Mode.ProbeRtt)
        {
            cwnd = Math.Min(cwnd, 4ul * t->Mss);
        }

        t->Cwnd = (uint)Math.Min(cwnd, 1u << 30);
    }

    private static void CheckFull(State* s, in AckSample sample)
    {
        if (s->Full || !s->RoundStart || sample.IsAppLimited)
        {
            return;
        }

        if (s->Bw0 >= s->FullBw + (s->FullBw / 4))
        {
            s->FullBw = s->Bw0;
            s->FullRounds = 0;
        }
        else if (++s->FullRounds >= 3)
        {
            s->Full = true;
        }
    }

    private static void CheckDrain(Tcb* t, State* s, long now)
    {
        if (s->Mode == Mode.Startup && s->Full)
        {
            s->Mode = Mode.Drain;
        }

        if (s->Mode == Mode.Drain && t->Pipe <= Bdp(s, 1))
        {
            s->Mode = Mode.ProbeBandwidth;
            s->Cycle = 2;
            s->CycleTime = now;
        }
    }

    private static void CheckCycle(Tcb* t, State* s, long now)
    {
        if (s->Mode != Mode.ProbeBandwidth)
        {
            return;
        }

        bool long_ = now - s->CycleTime > s->MinRtt;
        bool next = s->Cycle switch
        {
            0 => long_ && t->Pipe >= Bdp(s, 1.25),
            1 => long_ || t->Pipe <= Bdp(s, 1),
            _ => long_,
        };
        if (next || (s->Cycle == 0 && now - s->CycleTime > 4 * s->MinRtt))
        {
            s->Cycle = (byte)((s->Cycle + 1) % 8);
            s->CycleTime = now;
        }
    }

    private static void CheckProbeRtt(Tcb* t, State* s, in AckSample sample, long now)
    {
        bool expired = now - s->MinRttTime > MinRttWindow;
        if (sample.Rtt >= 0 && (sample.Rtt <= s->MinRtt || expired))
        {
            s->MinRtt = sample.Rtt;
            s->MinRttTime = now;
        }

        if (expired && s->Mode != Mode.ProbeRtt && !s->IdleRestart)
        {
            s->Mode = Mode.ProbeRtt;
            s->PriorCwnd = t->Cwnd;
            s->ProbeRttDone = 0;
        }

        s->IdleRestart &= sample.Delivered == 0;
        if (s->Mode != Mode.ProbeRtt)
        {
            return;
        }

        // 4.3.5: for 200 ms and a round trip.
        if (s->ProbeRttDone == 0 && t->Pipe <= 4u * t->Mss)
        {
            s->ProbeRttDone = now + ProbeRttTime;
            s->ProbeRttRound = false;
            s->NextRound = t->Delivered;
        }
        else if (s->ProbeRttDone != 0 && (s->ProbeRttRound |= s->RoundStart) && now >= s->ProbeRttDone)
        {
            s->MinRttTime = now;
            t->Cwnd = Math.Max(t->Cwnd, s->PriorCwnd);
            s->Mode = s->Full ? Mode.ProbeBandwidth : Mode.Startup;
            s->Cycle = 2;
            s->CycleTime = now;
        }
    }

    /// <summary>The greatest of ten rounds, by three candidates (Kathleen Nichols' windowed filter).</summary>
    private static void MaxFilter(State* s, ulong bw)
    {
        const uint Window = 10;
        if (bw >= s->Bw0 || s->Rounds - s->R2 > Window)
        {
            s->Bw0 = s->Bw1 = s->Bw2 = bw;
            s->R0 = s->R1 = s->R2 = s->Rounds;
            return;
        }

        if (bw >= s->Bw1)
        {
            s->Bw1 = s->Bw2 = bw;
            s->R1 = s->R2 = s->Rounds;
        }
        else if (bw >= s->Bw2)
        {
            s->Bw2 = bw;
            s->R2 = s->Rounds;
        }

        if (s->Rounds - s->R0 > Window)
        {
            s->Bw0 = s->Bw1;
            s->R0 = s->R1;
            s->Bw1 = s->Bw2;
            s->R1 = s->R2;
            s->Bw2 = bw;
            s->R2 = s->Rounds;
        }
    }
}
