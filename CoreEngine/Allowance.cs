using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>What a guest, or all guests of a tenant together, may use. Shared by all loops.</summary>
internal sealed class Allowance
{
    private ulong _mostOpen;
    private long _open;

    /// <summary>Bytes from the guest.</summary>
    public TokenBucket Send { get; } = new();

    /// <summary>Bytes to the guest.</summary>
    public TokenBucket Receive { get; } = new();

    /// <summary>NQEs from the guest.</summary>
    public TokenBucket Operations { get; } = new();

    /// <summary>Sockets now, whether limited or not.</summary>
    public long Open => Volatile.Read(ref _open);

    /// <summary>Some rate is limited.</summary>
    public bool HasRates => Send.IsLimited || Receive.IsLimited || Operations.IsLimited;

    /// <summary>Limits from now on. Control thread only.</summary>
    public void Set(in LimitsMessage limits, ulong now)
    {
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
