namespace NetKernel.Stack;

/// <summary>CUBIC (RFC 9438), with HyStart++ (RFC 9406) in the first slow start.</summary>
internal sealed unsafe class Cubic(byte index) : CongestionControl(index)
{
    private const double C = 0.4, Beta = 0.7;

    private struct State
    {
        public double WMax, K, WEst, Origin;
        public long EpochStart;
        public double CwndPrior;
        public HyStart SlowStart;

        // As before the last reduction (4.9.1); less exact will do.
        public long UndoEpochStart;
        public float UndoWMax, UndoK, UndoWEst, UndoOrigin, UndoCwndPrior;
    }

    public override string Name => "cubic";

    /// <summary>4.6: multiplicative decrease, with fast convergence (4.7).</summary>
    public override uint SlowStartThreshold(Tcb* t)
    {
        State* s = (State*)t->Control;
        double cwnd = (double)t->Cwnd / t->Mss;
        s->UndoEpochStart = s->EpochStart;
        s->UndoWMax = (float)s->WMax;
        s->UndoK = (float)s->K;
        s->UndoWEst = (float)s->WEst;
        s->UndoOrigin = (float)s->Origin;
        s->UndoCwndPrior = (float)s->CwndPrior;
        s->CwndPrior = cwnd;
        s->WMax = cwnd < s->WMax ? cwnd * (1 + Beta) / 2 : cwnd;
        s->EpochStart = 0;
        return Math.Max((uint)(t->Cwnd * Beta), 2u * t->Mss);
    }

    public override void Acked(Tcb* t, in AckSample sample)
    {
        State* s = (State*)t->Control;
        uint rest = sample.Acked;
        if (t->Cwnd < t->Ssthresh)
        {
            // RFC 9406, 4.3: only the first slow start; a later one knows where to end.
            rest = s->WMax == 0 ? s->SlowStart.Acked(t, in sample) : rest;
            rest = SlowStart(t, rest);
            if (rest == 0 || t->Cwnd < t->Ssthresh)
            {
                return;
            }
        }

        long now = t->LastAckReceived;
        double mss = t->Mss, cwnd = t->Cwnd / mss;
        if (s->EpochStart == 0)
        {
            s->EpochStart = now;
            s->WEst = cwnd;
            if (cwnd < s->WMax)
            {
                s->K = Math.Cbrt((s->WMax - cwnd) / C); // 4.2, figure 2
                s->Origin = s->WMax;
            }
            else
            {
                s->K = 0;
                s->Origin = cwnd;
                s->WMax = cwnd;
            }
        }

        // 4.2: where the curve is one round trip ahead, bounded to [cwnd, 1.5 cwnd].
        double time = (now - s->EpochStart + t->Srtt) / 1e6 - s->K;
        double target = s->Origin + (C * time * time * time);
        target = target < cwnd ? cwnd : target > 1.5 * cwnd ? 1.5 * cwnd : target;

        // 4.3: what Reno would have; alpha is 1 once the old window is reached.
        double alpha = s->WEst < s->CwndPrior ? 3 * (1 - Beta) / (1 + Beta) : 1;
        s->WEst += alpha * rest / t->Cwnd;
        if (target > cwnd)
        {
            double per = cwnd / (target - cwnd) * mss;
            Additive(t, per > uint.MaxValue / 2 ? uint.MaxValue / 2 : (uint)per, rest);
        }
        else
        {
            Additive(t, 100 * t->Cwnd > t->Cwnd ? 100 * t->Cwnd : t->Cwnd, rest);
        }

        if (s->WEst * mss > t->Cwnd)
        {
            t->Cwnd = (uint)(s->WEst * mss);
        }
    }

    /// <summary>4.9: after a needless reduction the curve goes on as if nothing had been.</summary>
    public override void Undone(Tcb* t)
    {
        State* s = (State*)t->Control;
        s->EpochStart = s->UndoEpochStart;
        s->WMax = s->UndoWMax;
        s->K = s->UndoK;
        s->WEst = s->UndoWEst;
        s->Origin = s->UndoOrigin;
        s->CwndPrior = s->UndoCwndPrior;
    }

    public override void StateChanged(Tcb* t, CaState state)
    {
        if (state == CaState.Loss)
        {
            ((State*)t->Control)->EpochStart = 0; // 4.8
            ((State*)t->Control)->SlowStart.Reset();
        }
    }
}
