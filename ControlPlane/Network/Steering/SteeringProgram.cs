namespace NetKernel.ControlPlane.Network.Steering;

/// <summary>
/// The two programs on the bridge's side of each NSM's veth. What goes to an NSM and is addressed to a guest that several NSMs serve is given the station address of the NSM that
/// has the connection, and sent out there; what comes from an NSM tells which connections it has. Written in eBPF by hand, so that nkd needs no compiler and no file.
/// </summary>
internal static class SteeringProgram
{
    /// <summary>Key of the map of owners: guest address (16 bytes, IPv4 mapped), port (network order), protocol, 0. Its value: device, 0, station address.</summary>
    public const int OwnerKey = 20, Place = 16;

    /// <summary>Key of the map of flows: guest address, peer address, guest port, peer port, protocol, zeros. Datagrams: the peer is zeros. Its value is as an owner's.</summary>
    public const int FlowKey = 40;

    /// <summary>In the place of the protocol: who has the connections that nobody has seen begin.</summary>
    public const byte Unseen = 255;

    /// <summary>The protocol of datagrams.</summary>
    public const byte Datagrams = Udp;

    // Where things lie on the stack: header of the frame (so that addresses in it are aligned), ports and flags, and the keys.
    private const int Header = -126, Word = -72, Owner = -64, Flow = -40, Value = -144;
    private const int GuestAddress = Flow, PeerAddress = Flow + 16, GuestPort = Flow + 32, PeerPort = Flow + 34, Protocol = Flow + 36;
    private const int OwnerPort = Owner + 16, OwnerProtocol = Owner + 18;

    private const int Context = 6, LayerFour = 7, Proto = 8, Found = 9;
    private const int IfIndex = 40; // of struct __sk_buff
    private const int MapLookup = 1, MapUpdate = 2, StoreBytes = 9, Redirect = 23, LoadBytes = 26;
    private const int Syn = 2, SynAck = 0x12, Tcp = 6, Udp = 17;

    /// <summary>What an NSM is about to get.</summary>
    public static ulong[] ToNsm(int owners, int flows)
    {
        var a = new BpfAssembler();
        Parse(a, owners, addressFour: 30, addressSix: 38, peerFour: 26, peerSix: 22, guestPort: 2);
        a.JumpIfEqual(Proto, Udp, "udp");
        Flags(a, SynAck);
        a.JumpIfEqual(1, Syn, "syn");
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

        a.Label("decide");
        a.Move(Found, 0);
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
        Pass(a);
        return a.Assemble();
    }

    /// <summary>Fills the keys from the frame, and finds the guest's default owner; passes what is not TCP or UDP of a guest that is steered.</summary>
    private static void Parse(BpfAssembler a, int owners, int addressFour, int addressSix, int peerFour, int peerSix, int guestPort)
    {
        a.Move(Context, 1);
        for (int at = Owner; at < 0; at += 8)
        {
            a.StoreValue(8, BpfAssembler.Frame, at, 0);
        }

        LoadFrame(a, () => a.Set(2, 0), Header, 34);
        a.Load(2, 1, BpfAssembler.Frame, Header + 12);
        a.JumpIfEqual(1, 0x0008, "four");
        a.JumpIfNot(1, 0xDD86, "pass");
        LoadFrame(a, () => a.Set(2, 0), Header, 54);
        a.Load(1, Proto, BpfAssembler.Frame, Header + 20);
        a.Set(LayerFour, 54);
        for (int i = 0; i < 16; i += 4)
        {
            Copy(a, Header + addressSix + i, GuestAddress + i);
            Copy(a, Header + peerSix + i, PeerAddress + i);
        }

        a.Jump("ports");
        a.Label("four");
        a.Load(1, LayerFour, BpfAssembler.Frame, Header + 14);
        a.And(LayerFour, 15);
        a.ShiftLeft(LayerFour, 2);
        a.Add(LayerFour, 14);
        a.Load(2, 1, BpfAssembler.Frame, Header + 20);
        a.And(1, 0xFF3F); // a fragment, first or not
        a.JumpIfNot(1, 0, "pass");
        a.Load(1, Proto, BpfAssembler.Frame, Header + 23);
        a.StoreValue(2, BpfAssembler.Frame, GuestAddress + 10, 0xFFFF);
        a.StoreValue(2, BpfAssembler.Frame, PeerAddress + 10, 0xFFFF);
        Copy(a, Header + addressFour, GuestAddress + 12);
        Copy(a, Header + peerFour, PeerAddress + 12);

        a.Label("ports");
        a.JumpIfEqual(Proto, Tcp, "known");
        a.JumpIfNot(Proto, Udp, "pass");
        a.Label("known");
        a.Load(8, 1, BpfAssembler.Frame, GuestAddress);
        a.Store(8, BpfAssembler.Frame, Owner, 1);
        a.Load(8, 1, BpfAssembler.Frame, GuestAddress + 8);
        a.Store(8, BpfAssembler.Frame, Owner + 8, 1);
        Lookup(a, owners, Owner);
        a.JumpIfEqual(0, 0, "pass");
        a.Move(Found, 0);
        LoadFrame(a, () => a.Move(2, LayerFour), Word, 4);
        a.Load(2, 1, BpfAssembler.Frame, Word + guestPort);
        a.Store(2, BpfAssembler.Frame, GuestPort, 1);
        a.Load(2, 1, BpfAssembler.Frame, Word + 2 - guestPort);
        a.Store(2, BpfAssembler.Frame, PeerPort, 1);
        a.Store(1, BpfAssembler.Frame, Protocol, Proto);
    }

    private static void Pass(BpfAssembler a)
    {
        a.Label("pass");
        a.Set(0, -1); // TCX_NEXT
        a.Exit();
    }

    /// <summary>The TCP flags of that mask, in register 1.</summary>
    private static void Flags(BpfAssembler a, int mask)
    {
        LoadFrame(
            a,
            () =>
            {
                a.Move(2, LayerFour);
                a.Add(2, 13);
            },
            Word,
            1);
        a.Load(1, 1, BpfAssembler.Frame, Word);
        a.And(1, mask);
    }

    private static void LoadFrame(BpfAssembler a, Action offset, int to, int bytes)
    {
        offset();
        a.Move(1, Context);
        a.Move(3, BpfAssembler.Frame);
        a.Add(3, to);
        a.Set(4, bytes);
        a.Call(LoadBytes);
        a.JumpIfNot(0, 0, "pass");
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

    private static void Copy(BpfAssembler a, int from, int to)
    {
        a.Load(4, 1, BpfAssembler.Frame, from);
        a.Store(4, BpfAssembler.Frame, to, 1);
    }
}
