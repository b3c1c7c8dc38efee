namespace NetKernel.Stack;

/// <summary>RFC 5681 and 6582: half after a loss, one segment per round trip otherwise.</summary>
internal sealed unsafe class NewReno(byte index) : CongestionControl(index)
{
    public override string Name => "reno";

    public override uint SlowStartThreshold(Tcb* t) => Math.Max(t->Cwnd / 2, 2u * t->Mss);

    public override void Acked(Tcb* t, in AckSample sample)
    {
        uint rest = SlowStart(t, sample.Acked);
        if (rest != 0)
        {
            Additive(t, t->Cwnd, rest);
        }
    }
}
