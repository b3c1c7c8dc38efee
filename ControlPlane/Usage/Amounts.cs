namespace NetKernel.ControlPlane.Usage;

/// <summary>What is counted. The order is that of the columns in the store: new ones go to the end, with a migration.</summary>
internal enum Amount
{
    /// <summary>Payload that the guest sent, bytes.</summary>
    BytesSent,

    /// <summary>Payload that the guest received, bytes.</summary>
    BytesReceived,

    /// <summary>Requests of the guest: NQEs that CoreEngine took from it.</summary>
    Operations,

    /// <summary>NQEs from and to the guest.</summary>
    Nqes,

    /// <summary>Connections opened by connect(2).</summary>
    Connects,

    /// <summary>Connections accepted.</summary>
    Accepts,

    /// <summary>connect(2) that failed: refused by the peer, timed out, unreachable.</summary>
    ConnectsFailed,

    /// <summary>Requests that CoreEngine refused with an errno: over a limit, no NSM, not valid.</summary>
    Refused,

    /// <summary>Connections that ended with an error.</summary>
    Resets,

    /// <summary>TCP segments that the stack sent again.</summary>
    Retransmits,

    /// <summary>Sum of the smoothed round-trip times seen, microseconds; <see cref="RttSamples"/> of them.</summary>
    RttMicroseconds,

    /// <summary>How many round-trip times were seen.</summary>
    RttSamples,

    /// <summary>CoreEngine's processor time on this behalf, ns.</summary>
    EngineCpu,

    /// <summary>The NSM's processor time on this behalf, ns.</summary>
    NsmCpu,

    /// <summary>Open sockets times time, milliseconds.</summary>
    OpenMilliseconds,
}

/// <summary>An amount of each kind.</summary>
internal sealed class Amounts
{
    /// <summary>Kinds.</summary>
    public static readonly int Count = Enum.GetValues<Amount>().Length;

    private readonly long[] _values = new long[Count];

    public long this[Amount kind]
    {
        get => _values[(int)kind];
        set => _values[(int)kind] = value;
    }

    public bool IsZero => _values.AsSpan().IndexOfAnyExcept(0L) < 0;

    /// <summary>All of the processor time, ns.</summary>
    public long Cpu => this[Amount.EngineCpu] + this[Amount.NsmCpu];

    public void Add(Amounts other)
    {
        for (int i = 0; i < _values.Length; i++)
        {
            _values[i] += other._values[i];
        }
    }

    public Amounts Copy()
    {
        var copy = new Amounts();
        copy.Add(this);
        return copy;
    }
}

/// <summary>
/// On whose behalf and by which NSM. The guest is empty for what nobody in particular caused (the platform's own processor time); the NSM is empty for what CoreEngine
/// did alone.
/// </summary>
internal readonly record struct UsageKey(string Tenant, string Guest, string Nsm);
