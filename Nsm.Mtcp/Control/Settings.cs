using System.Globalization;
using System.Linq;
using System.Net;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>What the operator asked for on the command line, checked before anything starts.</summary>
internal sealed class Settings
{
    /// <summary>The program's name.</summary>
    public const string Program = "nk-nsm-mtcp";

    private const uint MinBuffer = 64 << 10, MaxBuffer = 1 << 30;
    private static readonly string[] Known = ["--interface", "--namespace", "--link", "--congestion", "--rcvbuf", "--sndbuf", "--route", "--mode", "--vlan", "--vlan-priority", "--cores"];

    public string RunDirectory { get; private init; } = "";

    public uint Id { get; private init; }

    /// <summary>How the interface is opened.</summary>
    public LinkKind Link { get; private set; } = LinkKind.Packet;

    /// <summary>The interface: of this network namespace, or the TAP that is made.</summary>
    public string Interface { get; private set; } = "eth0";

    /// <summary>Path of the network namespace that a TAP is in; empty: this process's.</summary>
    public string Namespace { get; private set; } = "";

    /// <summary>VLAN of the link, and priority of what is sent (802.1Q); 0: untagged.</summary>
    public ushort Vlan { get; private set; }

    /// <summary>See <see cref="Vlan"/>.</summary>
    public byte VlanPriority { get; private set; }

    /// <summary>There is no link: every guest has 127.0.0.1 and ::1, which are its NSM's (private mode, for tests).</summary>
    public bool CarriesLoopback { get; private set; }

    public CongestionControl Congestion { get; private set; } = CongestionControl.Find("cubic")!;

    /// <summary>Largest receive buffer of a connection, bytes.</summary>
    public uint ReceiveBuffer { get; private set; } = 6 << 20;

    /// <summary>What takes guests' addresses from the kernel; null when the interface is our own.</summary>
    public AddressTaker? Taker => Link == LinkKind.Tap || CarriesLoopback ? null : new AddressTaker(Interface, [.. Routes.Where(route => !route.Prefix.IsV4).Select(route => route.Bits).Distinct()]);

    /// <summary>Threads, each with a stack of its own.</summary>
    public uint Cores { get; private set; } = 1;

    public Route[] Routes { get; private set; } = [];

    /// <summary>Reads a command line.</summary>
    /// <exception cref="ArgumentException">It is wrong; the message is one line for a person.</exception>
    public static Settings Parse(ReadOnlySpan<string> arguments)
    {
        NsmArguments given = NsmArguments.Parse(Program, Known, arguments);
        Settings settings = new() { RunDirectory = given.RunDirectory, Id = given.Id };
        foreach ((string name, string value) in given.Own)
        {
            switch (name)
            {
                case "--interface":
                    settings.Interface = value;
                    break;
                case "--namespace":
                    settings.Namespace = value;
                    break;
                case "--link":
                    settings.Link = value switch
                    {
                        "packet" => LinkKind.Packet,
                        "tap" => LinkKind.Tap,
                        "xdp" => LinkKind.Xdp,
                        _ => throw new ArgumentException($"--link {value} does not exist; these do: packet tap xdp"),
                    };
                    break;
                case "--rcvbuf":
                    settings.ReceiveBuffer = NsmArguments.Number(name, value, MinBuffer, MaxBuffer);
                    break;
                case "--cores":
                    settings.Cores = NsmArguments.Number(name, value, 1, ShardMesh.Most);
                    break;
                case "--sndbuf":
                    throw new ArgumentException("--sndbuf is not for this NSM: what a guest sends stays in the guest's own pool until it is acknowledged");
                case "--mode" when value == "bridge":
                    break;
                case "--mode" when value == "private":
                    settings.CarriesLoopback = true;
                    break;
                case "--mode":
                    throw new ArgumentException($"--mode {value}: this NSM needs an interface of its own, which only bridge mode (root) gives it");
                case "--vlan":
                    settings.Vlan = (ushort)NsmArguments.Number(name, value, 1, 4094);
                    break;
                case "--vlan-priority":
                    settings.VlanPriority = (byte)NsmArguments.Number(name, value, 0, 7);
                    break;
                case "--route":
                    settings.Routes = [.. settings.Routes, ParseRoute(value)];
                    break;
                default:
                    settings.Congestion = CongestionControl.Find(value)
                        ?? throw new ArgumentException($"congestion control {value} does not exist here; these do: {string.Join(' ', CongestionControl.Names())}");
                    break;
            }
        }

        if (settings.Routes.Length == 0)
        {
            settings.Routes = [ParseRoute("198.18.0.0/16"), ParseRoute("2001:2::/64")];
        }

        return settings;
    }

    /// <summary>PREFIX/BITS, or PREFIX/BITS,GATEWAY.</summary>
    private static Route ParseRoute(string text)
    {
        string[] parts = text.Split(',');
        string[] prefix = parts[0].Split('/');
        if (parts.Length <= 2 && prefix.Length == 2 && IPAddress.TryParse(prefix[0], out IPAddress? address)
            && int.TryParse(prefix[1], NumberStyles.None, CultureInfo.InvariantCulture, out int bits) && bits <= address.GetAddressBytes().Length * 8)
        {
            if (parts.Length == 1)
            {
                return new Route(AddressOf(address), bits, default);
            }

            if (IPAddress.TryParse(parts[1], out IPAddress? gateway) && gateway.AddressFamily == address.AddressFamily)
            {
                return new Route(AddressOf(address), bits, AddressOf(gateway));
            }
        }

        throw new ArgumentException($"--route {text} is not PREFIX/BITS or PREFIX/BITS,GATEWAY");
    }

    private static Address AddressOf(IPAddress address)
    {
        byte[] bytes = address.GetAddressBytes();
        return bytes.Length == 4 ? Address.V4(BitConverter.ToUInt32(bytes)) : new Address(BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8));
    }
}

/// <summary>Kinds of links.</summary>
internal enum LinkKind
{
    /// <summary>AF_PACKET on an interface: <see cref="PacketDevice"/>.</summary>
    Packet,

    /// <summary>A TAP interface: <see cref="TapDevice"/>.</summary>
    Tap,

    /// <summary>AF_XDP on an interface: <see cref="XdpDevice"/>.</summary>
    Xdp,
}

/// <summary>A route: on the link when the gateway is no address.</summary>
internal readonly record struct Route(Address Prefix, int Bits, Address Gateway);
