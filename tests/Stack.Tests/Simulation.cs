using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests;

/// <summary>What the simulated link does to frames in one direction.</summary>
internal sealed class Impairment
{
    public double Loss, Duplicate, Corrupt, Reorder, MarkCe;
    public long Delay = 100, Jitter, ReorderDelay = 5_000;

    /// <summary>Bits per second; 0: without limit. Frames beyond <see cref="QueueBytes"/> of backlog are dropped.</summary>
    public long Rate;
    public long QueueBytes = 1 << 20;

    /// <summary>Backlog from which on ECN-capable packets are marked; 0: never.</summary>
    public long MarkBytes { get; set; }

    /// <summary>Frames that a test wants to be lost.</summary>
    public Func<byte[], bool>? Drop { get; set; }
}

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
        at += _random.NextDouble() < i.Reorder ? i.ReorderDelay : 0;
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

/// <summary>A stack with its link, and the sockets on it.</summary>
internal sealed unsafe class Host : ILink, ITcpUser
{
    private readonly Simulation _simulation;
    private readonly bool _offload;
    private readonly uint _gso;
    private readonly List<Conn> _all = [];

    public Host(Simulation simulation, StackOptions options, int number, string address4, string address6, uint mtu, uint gso, bool offload)
    {
        _simulation = simulation;
        _offload = offload;
        _gso = gso;
        Mtu = mtu;
        Mac = 0x02 | ((ulong)number << 40);
        ILink link = Simulation.Recorder is { } recorder ? new PcapLink(this, recorder, () => simulation.Now * 1000) : this;
        Stack = new NetworkStack(options, link, new RandomSource((ulong)simulation.Random.NextInt64(), (ulong)number), simulation.Now);
        Stack.Tcp.User = this;
        Address4 = Parse(address4);
        Address6 = Parse(address6);
        Stack.AddAddress(Address4);
        Stack.AddAddress(Address6);
        Assert.True(Stack.Routes.Add(Parse("198.18.0.0"), 16, default));
        Assert.True(Stack.Routes.Add(Parse("2001:2::"), 64, default));
    }

    public NetworkStack Stack { get; }

    public TcpLayer Tcp => Stack.Tcp;

    public Address Address4 { get; }

    public Address Address6 { get; }

    public Impairment Impairment { get; set; } = new();

    public uint Mtu { get; set; }

    public ulong Mac { get; }

    public bool FinishesChecksums => _offload;

    public uint MaxGso => _gso;

    public Dictionary<nint, Conn> Sockets { get; } = [];

    public static Address Parse(string text)
    {
        byte[] bytes = System.Net.IPAddress.Parse(text).GetAddressBytes();
        if (bytes.Length == 4)
        {
            return Address.V4(BitConverter.ToUInt32(bytes));
        }

        return new Address(BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8));
    }

    public bool Transmit(in OutFrame frame)
    {
        byte[] bytes = new byte[frame.HeaderLength + frame.PayloadLength];
        fixed (byte* p = bytes)
        {
            NetworkStack.Flatten(frame, p);
        }

        Assert.True(frame.GsoSize == 0 || frame.PayloadLength <= _gso);
        Assert.True(frame.GsoSize != 0 || bytes.Length <= Mtu + 18, $"{bytes.Length} bytes on a link of {Mtu}");
        _simulation.Send(this, bytes, frame.GsoSize, frame.ChecksumStart != 0);
        return true;
    }

    /// <summary>A listener at a port.</summary>
    public Conn Listen(ushort port, bool v6 = false, uint backlog = 128, Action<nint>? prepare = null)
    {
        Conn c = NewSocket();
        Assert.Equal(0, Tcp.Bind(c.Tcb, v6 ? Address6 : Address4, port, true, false));
        prepare?.Invoke((nint)c.Tcb);
        Assert.Equal(0, Tcp.Listen(c.Tcb, backlog));
        return c;
    }

    /// <summary>A socket that connects.</summary>
    public Conn Dial(Host to, ushort port, bool v6 = false, Action<nint>? prepare = null)
    {
        Conn c = NewSocket();
        prepare?.Invoke((nint)c.Tcb);
        Assert.Equal(0, Tcp.Connect(c.Tcb, v6 ? Address6 : Address4, v6 ? to.Address6 : to.Address4, port));
        return c;
    }

    public Conn NewSocket()
    {
        Tcb* t = Tcp.Open((void*)1);
        Assert.True(t != null);
        return Adopt(t);
    }

    /// <summary>The other end's host.</summary>
    public Host PeerOf(Conn c) => _simulation.OtherThan(c.Host);

    public Conn? Accept(Conn listener, bool discard = false)
    {
        Tcb* t = TcpLayer.Accept(listener.Tcb);
        if (t == null)
        {
            return null;
        }

        Conn c = Adopt(t);
        c.Discards = discard;
        Tcp.Pull(t); // What came before somebody was there.
        return c;
    }

    private Conn Adopt(Tcb* t)
    {
        t->User = (void*)1;
        Conn c = new(this, t);
        Sockets[(nint)t] = c;
        _all.Add(c);
        return c;
    }

    public void FreeBuffers() => _all.ForEach(c => c.FreeBuffer());

    void ITcpUser.Changed(Tcb* t) => Sockets[(nint)t].Changes++;

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length) => Sockets[(nint)t].Take(data, length);

    void ITcpUser.Acked(Tcb* t, uint bytes) => Sockets[(nint)t].Acked(bytes);

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found) =>
        Sockets[(nint)t].Gather(offset, length, pieces, most, out found);
}

/// <summary>A test's socket: what it sends lies in one native buffer, what it received in a list.</summary>
internal sealed unsafe class Conn
{
    private readonly byte* _send = (byte*)NativeMemory.Alloc(1 << 22);
    private long _written, _acked;

    public Conn(Host host, Tcb* t)
    {
        Host = host;
        Tcb = t;
    }

    public Host Host { get; }

    public Tcb* Tcb { get; private set; }

    public int Changes { get; set; }

    public List<byte> Received { get; } = [];

    /// <summary>Bytes that the program takes; what comes beyond waits in the stack.</summary>
    public long Appetite { get; set; } = long.MaxValue;

    public long InFlight => _written - _acked;

    /// <summary>What arrives is counted, not kept.</summary>
    public bool Discards { get; set; }

    /// <summary>Bytes that arrived.</summary>
    public long Taken { get; private set; }

    /// <summary>There is always more to send.</summary>
    public bool IsEndless { get; set; }

    /// <summary>Writes until the buffer of this test is full.</summary>
    public void Fill()
    {
        long room = (1 << 22) - InFlight;
        if (room > 1 << 16)
        {
            _written += room;
            Host.Tcp.Write(Tcb, (uint)room, more: false);
        }
    }

    public TcpState State => Tcb->State;

    /// <summary>Writes as much as the buffer of this test holds; returns how much.</summary>
    public int Write(ReadOnlySpan<byte> data, bool more = false, int limit = 1 << 22)
    {
        int room = (int)Math.Min(limit - InFlight, data.Length);
        for (int i = 0; i < room; i++)
        {
            _send[(_written + i) & ((1 << 22) - 1)] = data[i];
        }

        _written += room;
        if (room > 0)
        {
            Host.Tcp.Write(Tcb, (uint)room, more);
        }

        return room;
    }

    public void Read(long more)
    {
        Appetite += more;
        Host.Tcp.Pull(Tcb);
    }

    public void Shutdown() => Host.Tcp.Shutdown(Tcb);

    public void Close()
    {
        Host.Sockets.Remove((nint)Tcb);
        Host.Tcp.Detach(Tcb);
        Tcb = null;
    }

    public void Abort()
    {
        Host.Sockets.Remove((nint)Tcb);
        Host.Tcp.Abort(Tcb);
        Tcb = null;
    }

    internal void FreeBuffer() => NativeMemory.Free(_send);

    internal uint Take(byte* data, uint length)
    {
        uint take = (uint)Math.Min(Appetite, length);
        Taken += take;
        if (!Discards)
        {
            Received.AddRange(new ReadOnlySpan<byte>(data, (int)take).ToArray());
        }

        Appetite -= Appetite == long.MaxValue ? 0 : take;
        return take;
    }

    internal void Acked(uint bytes)
    {
        _acked += bytes;
        Assert.True(_acked <= _written, "more acknowledged than written");
        if (IsEndless)
        {
            Fill();
        }
    }

    internal uint Gather(uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        const int Size = 1 << 22;
        Assert.True(_acked + offset + length <= _written, "sending what was never written");
        uint at = (uint)((_acked + offset) & (Size - 1));
        uint first = Math.Min(length, Size - at);

        // Cut small, so that pieces of odd lengths are tried too.
        uint count = 0;
        found = 0;
        while (found < length && count < most)
        {
            uint here = (at + found) & (Size - 1);
            uint n = Math.Min(Math.Min(length - found, Size - here), 1001);
            pieces[count++] = new Extent { Start = _send + here, Length = n };
            found += n;
        }

        return count;
    }
}
