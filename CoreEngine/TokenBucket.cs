using System.Threading;

namespace NetKernel.CoreEngine;

/// <summary>
/// A rate with a burst. Who finds tokens may take more than there are, and the debt is paid before anybody takes again: over any time t from a full bucket no more is taken than
/// rate * t + burst and the one taking that overdrew. One bucket is shared by all loops (and a tenant's by all its guests); its fields change by interlocked operations only.
/// </summary>
internal sealed class TokenBucket
{
    /// <summary>The highest rate and burst.</summary>
    public const ulong Most = 1ul << 60;

    private const ulong Second = 1_000_000_000;
    private const ulong RefillEvery = 50_000; // ns

    private ulong _rate;
    private long _burst;
    private long _tokens;
    private ulong _last;

    /// <summary>There is a rate to hold to.</summary>
    public bool IsLimited => Volatile.Read(ref _rate) != 0;

    /// <summary>Tokens, below 0: debt.</summary>
    public long Tokens => Volatile.Read(ref _tokens);

    /// <summary>
    /// From now on <paramref name="rate"/> per second (0: no limit) and up to <paramref name="burst"/> at once after a pause (0: a tenth of a second's worth). A bucket that changes
    /// starts full, one that stays as it is keeps what it has. Control thread only.
    /// </summary>
    public void Set(ulong rate, ulong burst, ulong now)
    {
        long most = (long)(burst != 0 ? burst : Math.Max(rate / 10, 1));
        if (rate == _rate && most == _burst)
        {
            return;
        }

        Volatile.Write(ref _rate, 0);
        _burst = most;
        Volatile.Write(ref _last, now);
        Volatile.Write(ref _tokens, most);
        Volatile.Write(ref _rate, rate);
    }

    /// <summary>Adds what has come in until <paramref name="now"/>, in nanoseconds of one clock.</summary>
    public void Refill(ulong now)
    {
        ulong rate = Volatile.Read(ref _rate);
        ulong last = Volatile.Read(ref _last);
        if (rate == 0 || now < last + RefillEvery)
        {
            return;
        }

        UInt128 gained = (UInt128)(now - last) * rate / Second;
        if (gained == 0)
        {
            return; // the time goes on to count
        }

        // What was not worth a whole token counts on; rounded up, so that rounding never gives more than the rate.
        ulong until = gained > (UInt128)Most ? now : last + (ulong)(((gained * Second) + (rate - 1)) / rate);
        if (Interlocked.CompareExchange(ref _last, until, last) != last)
        {
            return; // another loop has added it
        }

        long tokens = Volatile.Read(ref _tokens);
        while (true)
        {
            UInt128 room = (UInt128)((Int128)_burst - tokens);
            long after = gained >= room ? Math.Max(_burst, tokens) : tokens + (long)gained;
            long seen = Interlocked.CompareExchange(ref _tokens, after, tokens);
            if (seen == tokens)
            {
                return;
            }

            tokens = seen;
        }
    }

    /// <summary>There are as many tokens as there can be.</summary>
    public bool IsFull => Tokens >= Volatile.Read(ref _burst);

    /// <summary>As many tokens as after a long pause.</summary>
    public void Fill() => _ = Interlocked.Exchange(ref _tokens, _burst);

    /// <summary>Takes so many, into debt if need be. Without a rate nothing happens.</summary>
    public void Take(ulong count)
    {
        if (IsLimited)
        {
            _ = Interlocked.Add(ref _tokens, -(long)Math.Min(count, Most));
        }
    }

    /// <summary>How many may be taken now: 0 when spent, all bits set without a rate.</summary>
    public ulong Available() => !IsLimited ? ulong.MaxValue : (ulong)Math.Max(Tokens, 0);

    /// <summary>How much is overdrawn.</summary>
    public long Debt() => IsLimited ? Math.Max(-Tokens, 0) : 0;

    /// <summary>Nanoseconds until there is a token again.</summary>
    public ulong Wait()
    {
        ulong rate = Volatile.Read(ref _rate);
        long tokens = Tokens;
        return rate == 0 || tokens > 0 ? 0 : (ulong)UInt128.Min((UInt128)(1 - (Int128)tokens) * Second / rate, ulong.MaxValue);
    }
}
