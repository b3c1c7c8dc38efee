namespace NetKernel.Stack.Tests;

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

    uint ITcpUser.Untaken(Tcb* t) => Sockets[(nint)t].Untaken;

    void ITcpUser.Acked(Tcb* t, uint bytes) => Sockets[(nint)t].Acked(bytes);

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found) =>
        Sockets[(nint)t].Gather(offset, length, pieces, most, out found);
}
