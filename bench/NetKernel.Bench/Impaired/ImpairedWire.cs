namespace NetKernel.Bench.Impaired;

/// <summary>What a path does to frames from the sender to the receiver; the way back has the delay only.</summary>
/// <param name="Name">For the table.</param>
/// <param name="Loss">Share of frames that are lost.</param>
/// <param name="Reorder">Share of frames that come a quarter of a round trip later.</param>
/// <param name="RttMilliseconds">Round trip.</param>
/// <param name="Mtu">Bytes of an IP packet.</param>
/// <param name="V6">IPv6.</param>
internal sealed record Path(string Name, double Loss, double Reorder, double RttMilliseconds, uint Mtu = 1500, bool V6 = false);

/// <summary>One end of the path: gives frames, takes frames. All calls come from the path's thread.</summary>
internal interface IEnd : IDisposable
{
    /// <summary>The next frame that it sends, without waiting; its length, 0: none.</summary>
    int Take(byte[] to);

    /// <summary>A frame arrives.</summary>
    void Give(ReadOnlySpan<byte> frame);

    /// <summary>Time goes by (microseconds).</summary>
    void Turn(long now);
}

/// <summary>
/// Carries frames between two ends, with a bottleneck of one rate and a queue, delay, loss and reordering, which a fixed seed decides: the same for every pair of ends.
/// </summary>
internal sealed class ImpairedWire(IEnd left, IEnd right, Path path, long bitsPerSecond, long queueBytes)
{
    private readonly Random _random = new(1);
    private readonly PriorityQueue<(byte[] Frame, int Length, bool ToRight), (long, long)> _flying = new();
    private readonly Stack<byte[]> _free = new();
    private readonly byte[] _buffer = new byte[9200];
    private readonly long[] _busy = new long[2];
    private long _order;

    /// <summary>Frames lost on purpose, and for a full queue.</summary>
    public (ulong Lost, ulong Dropped) Missing { get; private set; }

    /// <summary>Carries frames until told to stop.</summary>
    public void Run(Func<bool> stop)
    {
        while (!stop())
        {
            long now = Now;
            bool moved = Collect(left, now, toRight: true) | Collect(right, now, toRight: false);
            while (_flying.TryPeek(out var item, out (long Due, long) key) && key.Due <= now)
            {
                _ = _flying.Dequeue();
                (item.ToRight ? right : left).Give(item.Frame.AsSpan(0, item.Length));
                _free.Push(item.Frame);
                moved = true;
            }

            left.Turn(now);
            right.Turn(now);
            if (!moved)
            {
                _ = Thread.Yield();
            }
        }
    }

    private static long Now => System.Diagnostics.Stopwatch.GetTimestamp() / 1000;

    private bool Collect(IEnd from, long now, bool toRight)
    {
        bool any = false;
        for (int i = 0; i < 64; i++)
        {
            int length = from.Take(_buffer);
            if (length == 0)
            {
                break;
            }

            any = true;
            if (toRight && _random.NextDouble() < path.Loss)
            {
                Missing = (Missing.Lost + 1, Missing.Dropped);
                continue;
            }

            ref long busy = ref _busy[toRight ? 1 : 0];
            long start = Math.Max(now, busy);
            if ((start - now) * bitsPerSecond / 8_000_000 > queueBytes)
            {
                Missing = (Missing.Lost, Missing.Dropped + 1);
                continue;
            }

            busy = start + (length * 8_000_000L / bitsPerSecond);
            long due = busy + (long)(path.RttMilliseconds * 500);
            due += toRight && _random.NextDouble() < path.Reorder ? (long)(path.RttMilliseconds * 250) : 0;
            byte[] frame = _free.TryPop(out byte[]? free) ? free : new byte[9200];
            _buffer.AsSpan(0, length).CopyTo(frame);
            _flying.Enqueue((frame, length, toRight), (due, _order++));
        }

        return any;
    }
}

/// <summary>The bytes of all transfers: every position has its own, so that what arrives is checked whole.</summary>
internal static class Content
{
    /// <summary>Positions repeat after so many bytes.</summary>
    public const int Period = 1 << 20;

    /// <summary>One period and a bit more, so that a piece never wraps.</summary>
    public static readonly byte[] Bytes = Make();

    /// <summary>Whether bytes are those of a position.</summary>
    public static bool IsRight(ReadOnlySpan<byte> data, long position)
    {
        while (data.Length > 0)
        {
            int n = Math.Min(data.Length, Period);
            if (!data[..n].SequenceEqual(Bytes.AsSpan((int)(position % Period), n)))
            {
                return false;
            }

            data = data[n..];
            position += n;
        }

        return true;
    }

    private static byte[] Make()
    {
        byte[] bytes = GC.AllocateArray<byte>(2 * Period, pinned: true);
        new Random(3).NextBytes(bytes.AsSpan(0, Period));
        bytes.AsSpan(0, Period).CopyTo(bytes.AsSpan(Period));
        return bytes;
    }
}
