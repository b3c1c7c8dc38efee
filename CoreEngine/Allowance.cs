using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>What a guest, or all guests of a tenant together, may use. Shared by all loops.</summary>
internal sealed class Allowance
{
    private const ulong DefaultBurstPart = 100; // a hundredth of a second's worth: more at once would be felt by the neighbours

    private ulong _mostOpen;
    private long _open;
    private ulong _lastBusy;

    /// <summary>Bytes from the guest.</summary>
    public TokenBucket Send { get; } = new();

    /// <summary>Bytes to the guest.</summary>
    public TokenBucket Receive { get; } = new();

    /// <summary>NQEs from the guest.</summary>
    public TokenBucket Operations { get; } = new();

    /// <summary>What connections ask of a stack besides data, in tokens (<see cref="SwitchLoop.TokensPerConnection"/>).</summary>
    public TokenBucket Setup { get; } = new();

    /// <summary>The limit of <see cref="Setup"/> is nobody's wish but CoreEngine's default: in force beside busy neighbours only.</summary>
    public bool SetupIsDefault { get; private set; }

    /// <summary>When a loop last had something to do for it (guests only), on the loops' coarse clock, ns.</summary>
    public ulong LastBusy
    {
        get => Volatile.Read(ref _lastBusy);
        set => Volatile.Write(ref _lastBusy, value);
    }

    /// <summary>The guests that it has talked to lately (guests only).</summary>
    public RecentPeers Peers { get; } = new();

    /// <summary>Sockets now, whether limited or not.</summary>
    public long Open => Volatile.Read(ref _open);

    /// <summary>Some rate is limited.</summary>
    public bool HasRates => Send.IsLimited || Receive.IsLimited || Operations.IsLimited;

    /// <summary>Limits from now on; <paramref name="defaultConnections"/> per second where the limits say nothing of connections (0: none). Control thread only.</summary>
    public void Set(in LimitsMessage limits, ulong defaultConnections, ulong now)
    {
        SetupIsDefault = limits.ConnectionsPerSecond == 0;
        ulong rate = SetupIsDefault ? defaultConnections : limits.ConnectionsPerSecond;
        ulong burst = SetupIsDefault ? Math.Max(rate / DefaultBurstPart, 1) : limits.ConnectionsBurst;
        Setup.Set(rate * SwitchLoop.TokensPerConnection, burst * SwitchLoop.TokensPerConnection, now);
        Send.Set(limits.SendBytesPerSecond, limits.SendBurst, now);
        Receive.Set(limits.ReceiveBytesPerSecond, limits.ReceiveBurst, now);
        Operations.Set(limits.OperationsPerSecond, limits.OperationsBurst, now);
        Volatile.Write(ref _mostOpen, limits.OpenConnections);
    }

    /// <summary>Adds what has come in until <paramref name="now"/>.</summary>
    public void Refill(ulong now)
    {
        Send.Refill(now);
        Receive.Refill(now);
        Operations.Refill(now);
    }

    /// <summary>Counts a socket; false, and not counted, when there are as many as there may be.</summary>
    public bool TryOpen()
    {
        long open = Interlocked.Increment(ref _open);
        ulong most = Volatile.Read(ref _mostOpen);
        if (most == 0 || (ulong)open <= most)
        {
            return true;
        }

        _ = Interlocked.Decrement(ref _open);
        return false;
    }

    /// <summary>So many sockets are gone.</summary>
    public void Closed(long count = 1) => _ = Interlocked.Add(ref _open, -count);
}
