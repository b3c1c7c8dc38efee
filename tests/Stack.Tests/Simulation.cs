namespace NetKernel.Stack.Tests;

/// <summary>A simulated clock, and hosts on simulated links. Everything that happens follows from the seed.</summary>
internal sealed unsafe class Simulation : IDisposable
{
    private readonly PriorityQueue<(Host To, byte[] Frame, uint Gso, bool Good), (long, long)> _events = new();
    private readonly Random _random;
    private readonly List<Host> _hosts = [];
    private readonly Dictionary<Host, long> _busyUntil = [];
    private long _order;

    /// <summary>Takes every frame that stacks of simulations of this thread send, as on the wire; null: nobody does.</summary>
    [ThreadStatic]
    private static PcapWriter? _recorder;

    public Simulation(int seed) => _random = new Random(seed);

    public static PcapWriter? Recorder
    {
        get => _recorder;
        set => _recorder = value;
    }

    public long Now { get; private set; } = 1_000_000;

    public Random Random => _random;

    /// <summary>Called whenever something has happened.</summary>
    public Action? AfterStep { get; set; }

    public List<(long Time, byte[] Frame)> Capture { get; } = [];

    /// <summary>Long runs do without.</summary>
    public bool KeepsCapture { get; set; } = true;

    public Host OtherThan(Host host) => _hosts[0] == host ? _hosts[1] : _hosts[0];

    public Host Add(string address4, string address6, StackOptions? options = null, uint mtu = 1500, uint gso = 0, bool offload = false)
    {
        Host host = new(this, options ?? new StackOptions { MaxConnections = 1024, MaxTimeWait = 1024, MaxSegments = 1 << 16, MaxBlocks = 1 << 13 },
            _hosts.Count + 1, address4, address6, mtu, gso, offload);
        _hosts.Add(host);
        return host;
    }

    public void Send(Host from, byte[] frame, uint gso, bool good)
    {
        if (KeepsCapture)
        {
            Capture.Add((Now, frame));
        }

        Impairment i = from.Impairment;
        Host to = _hosts[0] == from ? _hosts[1] : _hosts[0];
        if (i.Drop?.Invoke(frame) == true || _random.NextDouble() < i.Loss)
        {
            return;
        }

        frame = (byte[])frame.Clone();
        long at = Now;
        if (i.Rate != 0)
        {
            long start = Math.Max(Now, _busyUntil.GetValueOrDefault(from));
            long backlog = (start - Now) * i.Rate / 8_000_000;
            if (backlog > i.QueueBytes)
            {
                return;
            }

            if (i.MarkBytes != 0 && backlog > i.MarkBytes)
            {
                Mark(frame);
            }

            at = start + (frame.Length * 8_000_000L / i.Rate);
            _busyUntil[from] = at;
        }

        if (_random.NextDouble() < i.MarkCe)
        {
            Mark(frame);
        }

        if (_random.NextDouble() < i.Corrupt)
        {
            frame[_random.Next(14, frame.Length)] ^= (byte)(1 << _random.Next(8));
            good = false;
        }

        at += i.Delay + (i.Jitter != 0 ? _random.NextInt64(i.Jitter) : 0);
        at += _random.NextDouble() < i.Reorder || i.ReorderNow?.Invoke(frame) == true ? i.ReorderDelay : 0;
        _events.Enqueue((to, frame, gso, good), (at, _order++));
        if (_random.NextDouble() < i.Duplicate)
        {
            _events.Enqueue((to, frame, gso, good), (at + 50, _order++));
        }
    }

    /// <summary>Runs until the condition holds; fails when nothing more would happen, or the time is up.</summary>
    public void Until(Func<bool> done, long limit = 600_000_000, string what = "")
    {
        long end = Now + limit;
        Settle();
        while (!done())
        {
            Assert.True(Step(end), $"time is up at {Now}: {what}\n{Describe.Tail(this, 40)}");
        }
    }

    /// <summary>Lets that much time go by.</summary>
    public void Pass(long microseconds)
    {
        long end = Now + microseconds;
        Settle();
        while (Step(end))
        {
        }

        Now = end;
        Settle();
    }

    /// <summary>Puts a frame on the wire towards a host.</summary>
    public void Inject(Host to, byte[] frame, bool good = false)
    {
        to.Stack.Advance(Now);
        fixed (byte* p = frame)
        {
            InFrame info = new() { ChecksumGood = good };
            to.Stack.Receive(p, (uint)frame.Length, in info);
        }

        to.Stack.Flush();
    }

    public void Dispose()
    {
        foreach (Host host in _hosts)
        {
            host.Stack.Dispose();
            host.FreeBuffers();
        }
    }

    private static void Mark(byte[] frame)
    {
        if (frame[12] == 8 && (frame[15] & 3) is 1 or 2)
        {
            frame[15] |= 3;
            frame[24] = frame[25] = 0;
            fixed (byte* p = frame)
            {
                ushort sum = Checksum.Finish(Checksum.Sum(p + 14, 20));
                frame[24] = (byte)sum;
                frame[25] = (byte)(sum >> 8);
            }
        }
    }

    private void Settle()
    {
        foreach (Host host in _hosts)
        {
            host.Stack.Advance(Now);
            host.Stack.Flush();
        }
    }

    private bool Step(long end)
    {
        long next = long.MaxValue;
        if (_events.TryPeek(out _, out (long Time, long) key))
        {
            next = key.Time;
        }

        foreach (Host host in _hosts)
        {
            next = Math.Min(next, host.Stack.NextDeadline);
        }

        if (next > end)
        {
            return false;
        }

        Now = Math.Max(Now, next);
        while (_events.TryPeek(out var item, out key) && key.Time <= Now)
        {
            _ = _events.Dequeue();
            item.To.Stack.Advance(Now);
            fixed (byte* p = item.Frame)
            {
                InFrame info = new() { ChecksumGood = item.Good, GsoSize = item.Gso };
                item.To.Stack.Receive(p, (uint)item.Frame.Length, in info);
            }
        }

        Settle();
        AfterStep?.Invoke();
        return true;
    }
}
