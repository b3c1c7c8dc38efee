using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network.Steering;

/// <summary>
/// The two programs on the bridge's side of each NSM's veth. What goes to an NSM and is addressed to a guest that several NSMs serve is given the station address of the NSM that
/// has the connection, and sent out there; what comes from an NSM tells which connections it has. Written in eBPF by hand, so that nkd needs no compiler and no file.
/// </summary>
internal static partial class SteeringProgram
{
    /// <summary>Key of the map of owners: guest address (16 bytes, IPv4 mapped), port (network order), protocol, 0. Its value: device, 0, station address.</summary>
    public const int OwnerKey = 20, Place = 16;

    /// <summary>Key of the map of flows: guest address, peer address, guest port, peer port, protocol, zeros. Datagrams: the peer is zeros. Its value is as an owner's.</summary>
    public const int FlowKey = 40;

    /// <summary>In the place of the protocol: who has the connections that nobody has seen begin.</summary>
    public const byte Unseen = 255;

    /// <summary>The protocol of datagrams.</summary>
    public const byte Datagrams = Udp;

    // Where things lie on the stack: header of the frame (so that addresses in it are aligned), that of the packet in an ICMP error (likewise), ports and flags, the keys, and which part
    // of a packet a frame is.
    private const int Header = -126, Inner = -124, Word = -72, Owner = -64, Flow = -40, Value = -144, PartId = -148, Part = -152, Peer = -168;
    private const int GuestAddress = Flow, PeerAddress = Flow + 16, GuestPort = Flow + 32, PeerPort = Flow + 34, Protocol = Flow + 36, IsPart = Flow + 37;
    private const int OwnerPort = Owner + 16, OwnerProtocol = Owner + 18;

    private const int Context = 6, LayerFour = 7, Proto = 8, Found = 9;
    private const int IfIndex = 40; // of struct __sk_buff
    private const int MapLookup = 1, MapUpdate = 2, StoreBytes = 9, Redirect = 23, LoadBytes = 26;
    private const int Syn = 2, SynAck = 0x12, Icmp = 1, Tcp = 6, Udp = 17, FragmentHeader = 44, Icmp6 = 58;
    private const int Whole = 0, First = 1, Later = 2;

    /// <summary>What an NSM is about to get. <paramref name="parts"/> is a map as that of flows, of packets in fragments.</summary>
    public static ulong[] ToNsm(int owners, int flows, int parts)
    {
        var a = new BpfAssembler();
        Parse(a, owners, addressFour: 30, addressSix: 38, peerFour: 26, peerSix: 22, guestPort: 2);
        a.JumpIfEqual(Proto, Udp, "udp");
        Flags(a, SynAck);
        a.JumpIfEqual(1, Syn, "syn");
        a.Label("seen");
        Lookup(a, flows, Flow);
        a.JumpIfNot(0, 0, "decide");
        a.StoreValue(1, BpfAssembler.Frame, OwnerProtocol, Unseen);
        Lookup(a, owners, Owner);
        a.JumpIfNot(0, 0, "decide");
        a.Move(0, Found);
        a.Jump("decide");

        a.Label("syn");
        CopyPort(a);
        a.StoreValue(1, BpfAssembler.Frame, OwnerProtocol, Tcp);
        Lookup(a, owners, Owner);
        a.JumpIfNot(0, 0, "found");
        a.StoreValue(2, BpfAssembler.Frame, OwnerPort, 0);
        Lookup(a, owners, Owner);
        a.JumpIfEqual(0, 0, "store");
        a.Label("found");
        a.Move(Found, 0);
        a.Label("store");
        Update(a, flows);
        a.Move(0, Found);
        a.Jump("decide");

        a.Label("udp");
        ForgetPeer(a);
        Lookup(a, flows, Flow);
        a.JumpIfNot(0, 0, "decide");
        CopyPort(a);
        a.StoreValue(1, BpfAssembler.Frame, OwnerProtocol, Udp);
        Lookup(a, owners, Owner);
        a.JumpIfNot(0, 0, "decide");
        a.StoreValue(2, BpfAssembler.Frame, OwnerPort, 0);
        Lookup(a, owners, Owner);
        a.JumpIfNot(0, 0, "decide");
        a.Move(0, Found);
        a.Jump("decide");

        AboutInner(a);

        // Only the first fragment has ports: the others go where it went.
        a.Label("later");
        PartKey(a);
        Lookup(a, parts, Flow);
        a.JumpIfNot(0, 0, "decide");
        a.Move(0, Found);

        a.Label("decide");
        a.Move(Found, 0);
        a.Load(4, 1, BpfAssembler.Frame, Part);
        a.JumpIfNot(1, First, "send");
        PartKey(a);
        Update(a, parts);

        a.Label("send");
        a.Load(4, LayerFour, Found, 0);
        a.Load(4, 1, Context, IfIndex);
        a.JumpIfSame(1, LayerFour, "pass");
        a.Move(1, Context);
        a.Set(2, 0);
        a.Move(3, Found);
        a.Add(3, 8);
        a.Set(4, 6);
        a.Set(5, 0);
        a.Call(StoreBytes);
        a.JumpIfNot(0, 0, "pass");
        a.Move(1, LayerFour);
        a.Set(2, 0);
        a.Call(Redirect);
        a.Exit();
        Pass(a);
        return a.Assemble();
    }

    /// <summary>What an NSM has sent.</summary>
    public static ulong[] FromNsm(int owners, int flows)
    {
        var a = new BpfAssembler();
        Parse(a, owners, addressFour: 26, addressSix: 22, peerFour: 30, peerSix: 38, guestPort: 0);
        a.JumpIfEqual(Proto, Udp, "udp");
        Flags(a, Syn);
        a.JumpIfEqual(1, 0, "pass");
        a.Jump("learn");
        a.Label("udp");
        ForgetPeer(a);
        a.Label("learn");
        Lookup(a, flows, Flow);
        a.Load(4, LayerFour, Context, IfIndex);
        a.JumpIfEqual(0, 0, "new");
        a.Load(4, 1, 0, 0);
        a.JumpIfSame(1, LayerFour, "pass");
        a.Label("new");
        a.Store(4, BpfAssembler.Frame, Value, LayerFour);
        a.StoreValue(4, BpfAssembler.Frame, Value + 4, 0);
        a.StoreValue(8, BpfAssembler.Frame, Value + 8, 0);
        LoadFrame(a, () => a.Set(2, 6), Value + 8, 6);
        a.Move(Found, BpfAssembler.Frame);
        a.Add(Found, Value);
        Update(a, flows);
        a.Label("later");
        a.Label("icmp");
        Pass(a);
        return a.Assemble();
    }

    /// <summary>An ICMP error is about a packet of the guest, whose header it brings (RFC 792; RFC 4443, 2.4): it goes to the NSM that has that packet's connection.</summary>
    private static void AboutInner(BpfAssembler a)
    {
        a.Label("icmp");
        LoadFrame(a, () => a.Move(2, LayerFour), Word, 1);
        a.Load(1, 1, BpfAssembler.Frame, Word);
        a.StoreValue(4, BpfAssembler.Frame, Part, Whole);
        a.Add(LayerFour, 8);
        a.JumpIfEqual(Proto, Icmp6, "icmp6");
        a.JumpIfEqual(1, 3, "icmp4"); // unreachable, too large
        a.JumpIfEqual(1, 11, "icmp4"); // time exceeded
        a.JumpIfNot(1, 12, "pass"); // parameter problem
        a.Label("icmp4");
        LoadFrame(a, () => a.Move(2, LayerFour), Inner, 20);
        a.Load(2, 1, BpfAssembler.Frame, Inner + 6);
        a.And(1, 0xFF1F); // no first fragment: it has no ports
        a.JumpIfNot(1, 0, "pass");
        a.Load(1, Proto, BpfAssembler.Frame, Inner + 9);
        Copy(a, Inner + 16, PeerAddress + 12);
        a.Load(1, 1, BpfAssembler.Frame, Inner);
        a.And(1, 15);
        a.ShiftLeft(1, 2);
        a.AddRegister(LayerFour, 1);
        a.Jump("inner");

        a.Label("icmp6");
        a.JumpIfEqual(1, 0, "pass");
        a.And(1, 0xFC); // 1 to 3: unreachable, too large, time exceeded
        a.JumpIfNot(1, 0, "pass");
        LoadFrame(a, () => a.Move(2, LayerFour), Inner, 40);
        a.Load(1, Proto, BpfAssembler.Frame, Inner + 6);
        for (int i = 0; i < 16; i += 4)
        {
            Copy(a, Inner + 24 + i, PeerAddress + i);
        }

        a.Add(LayerFour, 40);
        a.Label("inner");
        LoadFrame(a, () => a.Move(2, LayerFour), Word, 4);
        Copy(a, Word, GuestPort);
        a.Store(1, BpfAssembler.Frame, Protocol, Proto);
        a.JumpIfEqual(Proto, Udp, "udp");
        a.JumpIfEqual(Proto, Tcp, "seen");
        a.Jump("pass");
    }

    /// <summary>Makes the key one of all fragments of a packet: its number in the place of ports.</summary>
    private static void PartKey(BpfAssembler a)
    {
        CopyLong(a, Peer, PeerAddress); // datagrams have forgotten it
        CopyLong(a, Peer + 8, PeerAddress + 8);
        Copy(a, PartId, GuestPort);
        a.Store(1, BpfAssembler.Frame, Protocol, Proto);
        a.StoreValue(1, BpfAssembler.Frame, IsPart, 1);
    }

    private static void Pass(BpfAssembler a)
    {
        a.Label("pass");
        a.Set(0, -1); // TCX_NEXT
        a.Exit();
    }

    private static void Lookup(BpfAssembler a, int map, int key)
    {
        a.LoadMap(1, map);
        a.Move(2, BpfAssembler.Frame);
        a.Add(2, key);
        a.Call(MapLookup);
    }

    /// <summary>Notes that the flow is at the place that Found points to.</summary>
    private static void Update(BpfAssembler a, int flows)
    {
        a.LoadMap(1, flows);
        a.Move(2, BpfAssembler.Frame);
        a.Add(2, Flow);
        a.Move(3, Found);
        a.Set(4, 0);
        a.Call(MapUpdate);
    }

    private static void ForgetPeer(BpfAssembler a)
    {
        a.StoreValue(8, BpfAssembler.Frame, PeerAddress, 0);
        a.StoreValue(8, BpfAssembler.Frame, PeerAddress + 8, 0);
        a.StoreValue(2, BpfAssembler.Frame, PeerPort, 0);
    }

    private static void CopyPort(BpfAssembler a)
    {
        a.Load(2, 1, BpfAssembler.Frame, GuestPort);
        a.Store(2, BpfAssembler.Frame, OwnerPort, 1);
    }
}
