using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests.Sharding;

/// <summary>
/// Several stacks of one address, a stack that is their peer, and frames between them that never get lost. Which shard a frame of the peer's comes to is the test's choice: a link
/// may hash as it likes. One thread, a clock of its own.
/// </summary>
internal sealed unsafe class Fabric : IDisposable
{
    private readonly ShardMesh _mesh;
    private readonly Queue<(Node To, byte[] Frame)> _frames = new();

    public Fabric(uint shards, bool cookies = false)
    {
        _mesh = new ShardMesh(shards, key: 0x1234_5678);
        Peer = new Node(this, "198.18.0.1", "2001:2::1", mac: 0x0102, shard: null, cookies: false);
        Shards = [.. Enumerable.Range(0, (int)shards).Select(i => new Node(this, "198.18.0.9", "2001:2::9", mac: 0x0902, new Shard(_mesh, (uint)i), cookies))];
        Choose = Home;
    }

    public Node Peer { get; }

    public Node[] Shards { get; }

    /// <summary>The shard that the link gives a frame to.</summary>
    public Func<byte[], uint> Choose { get; set; }

    /// <summary>Frames that a shard has sent.</summary>
    public List<byte[]> Sent { get; } = [];

    /// <summary>Frames that are lost, either way.</summary>
    public Func<byte[], bool>? Drop { get; set; }

    /// <summary>What a link does that knows the hash: TCP and UDP without fragments and options, the rest to the first.</summary>
    public uint Home(byte[] frame)
    {
        fixed (byte* p = frame)
        {
            bool v4 = Wire.U16(p + 12) == Protocol.EtherIpv4;
            byte* ip = p + 14;
            byte protocol = v4 ? ip[9] : ip[6];
            if ((!v4 && Wire.U16(p + 12) != Protocol.EtherIpv6) || protocol is not (Protocol.Tcp or Protocol.Udp) || (v4 && (Wire.U16(ip + 6) & 0x3FFF) != 0))
            {
                return 0;
            }

            byte* ports = ip + (v4 ? 20 : 40);
            Address source = v4 ? Wire.V4(ip + 12) : Wire.V6(ip + 8), destination = v4 ? Wire.V4(ip + 16) : Wire.V6(ip + 24);
            return FlowHash.ShardOf(destination, source, Wire.U16(ports + 2), Wire.U16(ports), _mesh.Key, _mesh.Count);
        }
    }

    /// <summary>Lets frames and messages go until there are none, then time, until the condition holds.</summary>
    public void Until(Func<bool> done, string what)
    {
        for (int i = 0; i < 20_000; i++)
        {
            Settle();
            if (done())
            {
                return;
            }

            Now += 1_000;
        }

        Assert.Fail($"in vain: {what}");
    }

    public long Now { get; private set; } = 1_000_000;

    public void Carry(Node from, byte[] frame)
    {
        if (from != Peer)
        {
            Sent.Add(frame);
        }

        if (Drop?.Invoke(frame) != true)
        {
            _frames.Enqueue((from == Peer ? Shards[Choose(frame)] : Peer, frame));
        }
    }

    public void Settle()
    {
        bool any;
        do
        {
            any = false;
            while (_frames.TryDequeue(out (Node To, byte[] Frame) item))
            {
                any = true;
                item.To.Stack.SetTime(Now);
                fixed (byte* p = item.Frame)
                {
                    InFrame info = default;
                    item.To.Stack.Receive(p, (uint)item.Frame.Length, in info);
                }
            }

            foreach (Node node in (Node[])[Peer, .. Shards])
            {
                any |= node.Turn(Now);
            }
        }
        while (any || _frames.Count != 0);
    }

    public void Dispose()
    {
        foreach (Node node in (Node[])[Peer, .. Shards])
        {
            node.Dispose();
        }

        _mesh.Dispose();
    }
}

/// <summary>A stack and its sockets.</summary>
internal sealed unsafe class Node : ILink, ITcpUser, IShardOwner, IDisposable
{
    private readonly Fabric _fabric;
    private readonly Dictionary<nint, Sock> _socks = [];
    private readonly UdpBudget* _budget = (UdpBudget*)NativeMemory.AllocZeroed((nuint)sizeof(UdpBudget));

    public Node(Fabric fabric, string address4, string address6, ulong mac, Shard? shard, bool cookies)
    {
        _fabric = fabric;
        Mac = mac;
        Shard = shard;
        StackOptions options = new() { MaxConnections = 256, MaxTimeWait = 256, MaxSegments = 4096, MaxBlocks = 4096, AlwaysCookies = cookies };
        Stack = new NetworkStack(options, this, new RandomSource(shard == null ? 1u : 2u, 3), fabric.Now, shard);
        Stack.Tcp.User = this;
        Address4 = Host.Parse(address4);
        Address6 = Host.Parse(address6);
        Stack.AddAddress(Address4);
        Stack.AddAddress(Address6);
        Assert.True(Stack.Routes.Add(Host.Parse("198.18.0.0"), 16, default));
        Assert.True(Stack.Routes.Add(Host.Parse("2001:2::"), 64, default));
    }

    public NetworkStack Stack { get; }

    public Shard? Shard { get; }

    public Address Address4 { get; }

    public Address Address6 { get; }

    public uint Mtu => 1500;

    public ulong Mac { get; }

    public bool FinishesChecksums => false;

    public uint MaxGso => 0;

    /// <summary>Messages of other shards' owners.</summary>
    public List<byte[]> Messages { get; } = [];

    public UdpBudget* Budget => _budget;

    public bool Transmit(in OutFrame frame)
    {
        byte[] bytes = new byte[frame.HeaderLength + frame.PayloadLength];
        fixed (byte* p = bytes)
        {
            NetworkStack.Flatten(frame, p);
        }

        _fabric.Carry(this, bytes);
        return true;
    }

    public bool Turn(long now)
    {
        Stack.Advance(now);
        uint work = Shard?.Drain(Stack, this) ?? 0;
        Stack.Flush();
        return work != 0;
    }

    public Sock Open(bool reusePort = false, ushort port = 0, bool v6 = false)
    {
        Sock sock = Adopt(Stack.Tcp.Open((void*)1));
        if (port != 0)
        {
            Assert.Equal(0, sock.Bind(v6 ? Address6 : Address4, port, reusePort: reusePort));
        }

        return sock;
    }

    public Sock Listen(ushort port, bool reusePort = false, bool v6 = false)
    {
        Sock sock = Open(reusePort, port, v6);
        Assert.Equal(0, Stack.Tcp.Listen(sock.Tcb, 64));
        return sock;
    }

    public Sock Dial(Node to, ushort port, bool v6 = false)
    {
        Sock sock = Open();
        Assert.Equal(0, Stack.Tcp.Connect(sock.Tcb, v6 ? Address6 : Address4, v6 ? to.Address6 : to.Address4, port));
        return sock;
    }

    public Sock? Accept(Sock listener)
    {
        Tcb* t = TcpLayer.Accept(listener.Tcb);
        return t == null ? null : Adopt(t);
    }

    public Sock Adopt(Tcb* t)
    {
        Assert.True(t != null);
        t->User = (void*)1;
        Sock sock = new(this, t);
        _socks[(nint)t] = sock;
        Stack.Tcp.Pull(t);
        return sock;
    }

    public void Forget(Sock sock) => _ = _socks.Remove((nint)sock.Tcb);

    void ITcpUser.Changed(Tcb* t)
    {
        // The tests look.
    }

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length)
    {
        if (!_socks.TryGetValue((nint)t, out Sock? sock))
        {
            return 0;
        }

        sock.Received.AddRange(new ReadOnlySpan<byte>(data, (int)length));
        return length;
    }

    void ITcpUser.Acked(Tcb* t, uint bytes) => _socks[(nint)t].Acked += (int)bytes;

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        Sock sock = _socks[(nint)t];
        found = Math.Min(length, (uint)(sock.Written - sock.Acked) - offset);
        pieces[0] = new Extent { Start = sock.Buffer + sock.Acked + offset, Length = found };
        return 1;
    }

    bool IShardOwner.Told(uint from, byte* bytes, uint length)
    {
        Messages.Add(new ReadOnlySpan<byte>(bytes, (int)length).ToArray());
        return true;
    }

    public void Dispose()
    {
        Stack.Dispose();
        foreach (Sock sock in _socks.Values)
        {
            sock.Free();
        }

        NativeMemory.Free(_budget);
    }
}

/// <summary>A TCP socket of a <see cref="Node"/>.</summary>
internal sealed unsafe class Sock(Node node, Tcb* t)
{
    public const int MostBytes = 1 << 20;

    public Node Node => node;

    public Tcb* Tcb => t;

    public byte* Buffer { get; } = (byte*)NativeMemory.Alloc(MostBytes);

    public int Written { get; private set; }

    public int Acked { get; set; }

    public List<byte> Received { get; } = [];

    public TcpState State => t->State;

    public int Bind(Address address, ushort port, bool reuseAddress = false, bool reusePort = false) =>
        node.Stack.Tcp.Bind(t, address, port, reuseAddress, reusePort);

    public int Listen() => node.Stack.Tcp.Listen(t, 16);

    public void Write(ReadOnlySpan<byte> data)
    {
        data.CopyTo(new Span<byte>(Buffer + Written, MostBytes - Written));
        Written += data.Length;
        node.Stack.Tcp.Write(t, (uint)data.Length, more: false);
    }

    public void Shutdown() => node.Stack.Tcp.Shutdown(t);

    public void Close()
    {
        node.Forget(this);
        node.Stack.Tcp.Detach(t);
        Free();
    }

    public void Free() => NativeMemory.Free(Buffer);
}
