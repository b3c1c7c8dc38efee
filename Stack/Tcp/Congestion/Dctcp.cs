namespace NetKernel.Stack;

/// <summary>DCTCP (RFC 8257): the window shrinks by the share of bytes that were marked.</summary>
internal sealed unsafe class Dctcp(byte index) : CongestionControl(index)
{
    private const uint Max = 1024; // alpha = 1
    private const int GainShift = 4; // g = 1/16

    private struct State
    {
        public uint Alpha, RoundEnd;
        public ulong Acked, Marked;
    }

    /// <summary>alpha, 0 to 1, of a connection that uses this.</summary>
    public static double AlphaOf(Tcb* t) => (double)((State*)t->Control)->Alpha / Max;

    public override string Name => "dctcp";

    public override bool EchoesExactly => true;

    public override bool NeedsEcn => true;

    public override void Init(Tcb* t)
    {
        base.Init(t);
        State* s = (State*)t->Control;
        s->Alpha = Max; // 4.2
        s->RoundEnd = t->SndNxt;
    }

    /// <summary>3.3 (11): cwnd * (1 - alpha / 2); a loss is answered like Reno's (3.5).</summary>
    public override uint SlowStartThreshold(Tcb* t)
    {
        State* s = (State*)t->Control;
        uint alpha = t->LostBytes != 0 ? Max : s->Alpha;
        return Math.Max(t->Cwnd - (uint)((ulong)t->Cwnd * alpha / (2 * Max)), 2u * t->Mss);
    }

    public override void Acked(Tcb* t, in AckSample sample)
    {
        uint rest = SlowStart(t, sample.Acked);
        if (rest != 0)
        {
            Additive(t, t->Cwnd, rest);
        }
    }

    /// <summary>3.3: once per window the share of marked bytes goes into alpha.</summary>
    public override void Sampled(Tcb* t, in AckSample sample)
    {
        State* s = (State*)t->Control;
        s->Acked += sample.Acked;
        s->Marked += sample.Ece ? sample.Acked : 0;
        if (!Seq.After(t->SndUna, s->RoundEnd))
        {
            return;
        }

        uint share = s->Acked == 0 ? 0 : (uint)(s->Marked * Max / s->Acked);
        uint decay = s->Alpha >> GainShift;
        s->Alpha = s->Alpha - (decay != 0 ? decay : s->Alpha != 0 ? 1u : 0) + (share >> GainShift);
        s->Alpha = s->Alpha > Max ? Max : s->Alpha;
        s->Acked = s->Marked = 0;
        s->RoundEnd = t->SndNxt;
    }
}
