using System.Buffers.Binary;
using System.Net;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network.Steering;

/// <summary>Where an NSM is on the bridge: its port there, and its station address.</summary>
internal readonly record struct BridgePlace(uint Device, byte[] Station)
{
    public byte[] ToBytes()
    {
        byte[] place = new byte[SteeringProgram.Place];
        BinaryPrimitives.WriteUInt32LittleEndian(place, Device);
        Station.CopyTo(place, 8);
        return place;
    }
}

/// <summary>Who serves what arrives for a guest: as listened on, by protocol and port (0: any).</summary>
internal readonly record struct Arrival(byte Protocol, ushort Port, BridgePlace Place);

/// <summary>
/// Steers frames to guests that several NSMs serve under one address (docs/adr/0010): connections that have begun go to the NSM that has them, new ones to where the guest's listeners
/// are. In the kernel, by two eBPF programs on the ports of NSMs in the bridge's namespace; they and their maps stay when nkd ends, and the next nkd finds them there.
/// </summary>
internal sealed class BridgeSteering : IDisposable
{
    private const uint MaxOwners = 16384, MaxFlows = 65536, MaxParts = 4096;
    private const string In = "nk_from_nsm", Out = "nk_to_nsm", OwnersName = "nk_owners", FlowsName = "nk_flows", PartsName = "nk_parts";

    private readonly int _in, _out, _owners, _flows;

    private BridgeSteering(int @in, int @out, int owners, int flows) => (_in, _out, _owners, _flows) = (@in, @out, owners, flows);

    public static BridgeSteering Make()
    {
        int owners = Bpf.CreateMap(OwnersName, Bpf.Hash, SteeringProgram.OwnerKey, SteeringProgram.Place, MaxOwners);
        int flows = Bpf.CreateMap(FlowsName, Bpf.LruHash, SteeringProgram.FlowKey, SteeringProgram.Place, MaxFlows);
        int parts = Bpf.CreateMap(PartsName, Bpf.LruHash, SteeringProgram.FlowKey, SteeringProgram.Place, MaxParts);
        var made = new BridgeSteering(Bpf.LoadProgram(In, Bpf.SchedCls, SteeringProgram.FromNsm(owners, flows)), Bpf.LoadProgram(Out, Bpf.SchedCls, SteeringProgram.ToNsm(owners, flows, parts)), owners, flows);
        _ = Libc.Close(parts); // the program keeps it, and nobody else looks at it
        return made;
    }

    /// <summary>What a nkd before has attached to one of these devices; null: nothing. Call inside the bridge's namespace.</summary>
    public static BridgeSteering? Find(IEnumerable<uint> devices)
    {
        foreach (uint device in devices)
        {
            if (Program(device, Bpf.TcxIngress, In) is not { } @in || Program(device, Bpf.TcxEgress, Out) is not { } @out)
            {
                continue;
            }

            Dictionary<string, int> maps = Bpf.DescribeProgram(@out).Maps.Select(Bpf.OpenMap).ToDictionary(map => map.Name, map => map.Fd);
            if (maps.TryGetValue(PartsName, out int parts))
            {
                _ = Libc.Close(parts);
            }

            return new BridgeSteering(@in, @out, maps[OwnersName], maps[FlowsName]);
        }

        return null;
    }

    /// <summary>Attaches the programs to a port, unless they are. Call inside the bridge's namespace.</summary>
    public void Attach(uint device)
    {
        if (Program(device, Bpf.TcxIngress, In) is { } @in)
        {
            _ = Libc.Close(@in);
        }
        else
        {
            Bpf.Attach(_in, device, Bpf.TcxIngress);
        }

        if (Program(device, Bpf.TcxEgress, Out) is { } @out)
        {
            _ = Libc.Close(@out);
        }
        else
        {
            Bpf.Attach(_out, device, Bpf.TcxEgress);
        }
    }

    /// <summary>From now on what arrives anew for an address goes by this table, in which (0, 0) must be; what nobody has seen begin goes where it did.</summary>
    public void Set(IPAddress address, BridgePlace before, IReadOnlyCollection<Arrival> arrivals)
    {
        if (!Bpf.TryLookup(_owners, Key(address, SteeringProgram.Unseen, 0), stackalloc byte[SteeringProgram.Place]))
        {
            Bpf.Update(_owners, Key(address, SteeringProgram.Unseen, 0), before.ToBytes());
        }

        // The default last: with it an address begins to be steered.
        HashSet<(byte, ushort)> wanted = [.. arrivals.Select(one => (one.Protocol, one.Port))];
        foreach (byte[] key in Keys(_owners, SteeringProgram.OwnerKey, address))
        {
            (byte protocol, ushort port) = (key[18], BinaryPrimitives.ReadUInt16BigEndian(key.AsSpan(16)));
            if (protocol != SteeringProgram.Unseen && !wanted.Contains((protocol, port)))
            {
                Bpf.Delete(_owners, key);
            }
        }

        foreach (Arrival one in arrivals.OrderBy(one => one.Protocol == 0))
        {
            Bpf.Update(_owners, Key(address, one.Protocol, one.Port), one.Place.ToBytes());
        }
    }

    /// <summary>Datagrams for a port go to the NSM whose socket has it, whatever the table says.</summary>
    public void Hold(IPAddress address, ushort port, BridgePlace place)
    {
        byte[] key = new byte[SteeringProgram.FlowKey];
        address.MapToIPv6().GetAddressBytes().CopyTo(key, 0);
        BinaryPrimitives.WriteUInt16BigEndian(key.AsSpan(32), port);
        key[36] = SteeringProgram.Datagrams;
        Bpf.Update(_flows, key, place.ToBytes());
    }

    /// <summary>An NSM has nothing of an address any more: what was its goes where new things go.</summary>
    public void Leave(IPAddress address, BridgePlace left, BridgePlace now)
    {
        byte[] unseen = Key(address, SteeringProgram.Unseen, 0);
        byte[] place = new byte[SteeringProgram.Place];
        if (Bpf.TryLookup(_owners, unseen, place) && Device(place) == left.Device)
        {
            Bpf.Update(_owners, unseen, now.ToBytes());
        }

        foreach (byte[] key in Keys(_flows, SteeringProgram.FlowKey, address))
        {
            if (Bpf.TryLookup(_flows, key, place) && Device(place) == left.Device)
            {
                Bpf.Delete(_flows, key);
            }
        }
    }

    /// <summary>An address is steered no more.</summary>
    public void Remove(IPAddress address)
    {
        // The default first: without it nothing else counts.
        Bpf.Delete(_owners, Key(address, 0, 0));
        foreach (byte[] key in Keys(_owners, SteeringProgram.OwnerKey, address))
        {
            Bpf.Delete(_owners, key);
        }

        foreach (byte[] key in Keys(_flows, SteeringProgram.FlowKey, address))
        {
            Bpf.Delete(_flows, key);
        }
    }

    public void Dispose()
    {
        foreach (int fd in new[] { _in, _out, _owners, _flows })
        {
            _ = Libc.Close(fd);
        }
    }

    private static uint Device(ReadOnlySpan<byte> place) => BinaryPrimitives.ReadUInt32LittleEndian(place);

    private static byte[] Key(IPAddress address, byte protocol, ushort port)
    {
        byte[] key = new byte[SteeringProgram.OwnerKey];
        address.MapToIPv6().GetAddressBytes().CopyTo(key, 0);
        BinaryPrimitives.WriteUInt16BigEndian(key.AsSpan(16), port);
        key[18] = protocol;
        return key;
    }

    /// <summary>The keys of a map that are about an address. Taken first, changed afterwards: a walk that deletes as it goes may begin anew.</summary>
    private static List<byte[]> Keys(int map, int length, IPAddress address)
    {
        byte[] wanted = address.MapToIPv6().GetAddressBytes();
        var found = new List<byte[]>();
        byte[] at = [];
        byte[] next = new byte[length];
        for (uint i = 0; i < MaxFlows + MaxOwners && Bpf.TryNext(map, at, next); i++)
        {
            at = [.. next];
            if (at.AsSpan(0, 16).SequenceEqual(wanted))
            {
                found.Add(at);
            }
        }

        return found;
    }

    private static int? Program(uint device, uint where, string name)
    {
        foreach (uint id in Bpf.Attached(device, where))
        {
            int program = Bpf.OpenProgram(id);
            if (Bpf.DescribeProgram(program).Name == name)
            {
                return program;
            }

            _ = Libc.Close(program);
        }

        return null;
    }
}
