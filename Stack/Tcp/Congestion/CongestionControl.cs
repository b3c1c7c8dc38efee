namespace NetKernel.Stack;

/// <summary>
/// A congestion control: one object for all connections, whose state lies in <see cref="Tcb.Control"/>. Windows are bytes.
/// </summary>
public abstract unsafe class CongestionControl
{
    private static readonly CongestionControl[] All = [new Cubic(0), new NewReno(1), new Dctcp(2), new Bbr(3)];

    /// <summary>With that place in the table.</summary>
    protected CongestionControl(byte index) => Index = index;

    /// <summary>Name, as TCP_CONGESTION has it.</summary>
    public abstract string Name { get; }

    /// <summary>It sets window and pacing with every sample; ssthresh and PRR are not for it.</summary>
    public virtual bool OwnsWindow => false;

    /// <summary>The receiver's side echoes each CE mark exactly (RFC 8257, 3.2).</summary>
    public virtual bool EchoesExactly => false;

    /// <summary>It wants ECN on its connections.</summary>
    public virtual bool NeedsEcn => false;

    internal byte Index { get; }

    /// <summary>The one of that name, or null.</summary>
    public static CongestionControl? Find(ReadOnlySpan<char> name)
    {
        for (int i = 0; i < All.Length; i++)
        {
            if (name.SequenceEqual(All[i].Name))
            {
                return All[i];
            }
        }

        return null;
    }

    /// <summary>Its number, from 1 on, by which others may keep it.</summary>
    public int Number => Index + 1;

    /// <summary>The one of that <see cref="Number"/>.</summary>
    public static CongestionControl Numbered(int number) => All[number - 1];

    /// <summary>All names, for messages to people.</summary>
    public static string[] Names()
    {
        string[] names = new string[All.Length];
        for (int i = 0; i < names.Length; i++)
        {
            names[i] = All[i].Name;
        }

        return names;
    }

    /// <summary>The one of a connection.</summary>
    public static CongestionControl Of(Tcb* t) => All[t->Congestion];

    /// <summary>A connection is established, or has changed to this one.</summary>
    public virtual void Init(Tcb* t) => new Span<ulong>(t->Control, 16).Clear();

    /// <summary>ssthresh after a loss or an ECN echo (RFC 5681, 3.1 (4)).</summary>
    public abstract uint SlowStartThreshold(Tcb* t);

    /// <summary>New data was acknowledged while the window was the limit: grow.</summary>
    public abstract void Acked(Tcb* t, in AckSample sample);

    /// <summary>Every acknowledgement, in every state.</summary>
    public virtual void Sampled(Tcb* t, in AckSample sample)
    {
    }

    /// <summary>The congestion state has changed.</summary>
    public virtual void StateChanged(Tcb* t, CaState state)
    {
    }

    /// <summary>Something is sent after a pause in which there was nothing to send.</summary>
    public virtual void Restarted(Tcb* t)
    {
    }

    /// <summary>The window, after a reduction that proved needless.</summary>
    public virtual uint WindowToRestore(Tcb* t) => t->PriorCwnd;

    /// <summary>A reduction that proved needless was undone; the window is restored.</summary>
    public virtual void Undone(Tcb* t)
    {
    }

    /// <summary>RFC 5681, 3.1: slow start, one segment per segment acknowledged (with RFC 3465's L = 2 when ACKs stretch). Returns what is left for congestion avoidance.</summary>
    protected static uint SlowStart(Tcb* t, uint acked)
    {
        uint room = t->Ssthresh > t->Cwnd ? t->Ssthresh - t->Cwnd : 0;
        uint grow = acked < room ? acked : room;
        t->Cwnd += grow;
        return acked - grow;
    }

    /// <summary>Grows by one segment for each <paramref name="per"/> bytes acknowledged.</summary>
    protected static void Additive(Tcb* t, uint per, uint acked)
    {
        t->CwndAcked += acked;
        per = per < t->Mss ? t->Mss : per;
        uint steps = t->CwndAcked / per;
        t->CwndAcked -= steps * per;
        ulong window = t->Cwnd + ((ulong)steps * t->Mss);
        t->Cwnd = window > 1u << 30 ? 1u << 30 : (uint)window;
    }
}
