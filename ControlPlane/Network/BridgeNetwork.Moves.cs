using System.Net;
using System.Text.Json;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Network.Steering;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>One guest's addresses at several NSMs (docs/adr/0010).</summary>
internal sealed partial class BridgeNetwork
{
    private readonly Dictionary<string, BridgePlace> _places = [];
    private BridgeSteering? _steering;

    private string? _oneNsmBecause;
    private bool _knowsKernel;

    public string? OneNsmBecause
    {
        get
        {
            if (!_knowsKernel)
            {
                InBridge(() => _oneNsmBecause = Bpf.WhyNoSteering());
                _knowsKernel = true;
            }

            return _oneNsmBecause;
        }
    }

    public void PrepareMove() => _ = Steering();

    public void Serve(GuestRecord guest, NsmRecord nsm) => GiveAddresses(guest, nsm);

    public void Unserve(GuestRecord guest, NsmRecord nsm, NsmRecord? now)
    {
        TakeAddresses(guest, nsm);
        if (_steering is { } steering && now is not null)
        {
            foreach (IPAddress address in AddressesOf(guest))
            {
                steering.Leave(address, PlaceOf(nsm), PlaceOf(now));
            }

            Announce(guest, now);
        }
    }

    public void Steer(
        GuestRecord guest, NsmRecord? before, IReadOnlyCollection<(byte Protocol, ushort Port, NsmRecord Nsm)> arrivals, IReadOnlyCollection<(ushort Port, NsmRecord Nsm)> bound)
    {
        if (arrivals.Count == 0)
        {
            return; // nobody serves it any more: what is there goes on
        }

        BridgeSteering steering = Steering();
        NsmRecord now = arrivals.Last().Nsm;
        foreach (IPAddress address in AddressesOf(guest))
        {
            foreach ((ushort port, NsmRecord nsm) in bound)
            {
                steering.Hold(address, port, PlaceOf(nsm));
            }

            steering.Set(address, PlaceOf(before ?? now), [.. arrivals.Select(one => new Arrival(one.Protocol, one.Port, PlaceOf(one.Nsm)))]);
        }

        Announce(guest, now);
    }

    private static IPAddress[] AddressesOf(GuestRecord guest) => [IPAddress.Parse(guest.Ipv4), IPAddress.Parse(guest.Ipv6)];

    /// <summary>The steering, made when first needed, and found again after a restart; attached to all ports of NSMs.</summary>
    private BridgeSteering Steering()
    {
        if (_steering is not { } steering)
        {
            steering = FindSteering() ?? BridgeSteering.Make();
            _steering = steering;
            InBridge(() =>
            {
                foreach (uint port in Ports())
                {
                    steering.Attach(port);
                }
            });
        }

        return steering;
    }

    private BridgeSteering? FindSteering()
    {
        BridgeSteering? found = null;
        InBridge(() => found = BridgeSteering.Find(Ports()));
        return found;
    }

    /// <summary>The steering no more knows an address.</summary>
    private void Forget(GuestRecord guest)
    {
        if (_steering is { } steering)
        {
            foreach (IPAddress address in AddressesOf(guest))
            {
                steering.Remove(address);
            }
        }
    }

    /// <summary>A new port is steered, too, if any is.</summary>
    private void AttachPort(NsmRecord nsm)
    {
        _ = _places.Remove(nsm.Name);
        if (_steering is { } steering)
        {
            uint port = PlaceOf(nsm).Device;
            InBridge(() => steering.Attach(port));
        }
    }

    private BridgePlace PlaceOf(NsmRecord nsm)
    {
        if (!_places.TryGetValue(nsm.Name, out BridgePlace place))
        {
            uint port = Link(BridgeSpace, PortOf(nsm)).GetProperty("ifindex").GetUInt32();
            place = new BridgePlace(port, StationOf(nsm));
            _places.Add(nsm.Name, place);
        }

        return place;
    }

    private void Announce(GuestRecord guest, NsmRecord nsm)
    {
        byte[] station = PlaceOf(nsm).Station;
        (string space, string name) = HasInterface(nsm) ? (NamedSpaces.OfNsm(instance, nsm.Name), "eth0") : (BridgeSpace, "br0");
        int device = Link(space, name).GetProperty("ifindex").GetInt32();
        _ = NetworkNamespace.Inside(NetworkNamespace.PathOf(space), () =>
        {
            foreach (IPAddress address in AddressesOf(guest))
            {
                Announcement.Send(address, station, device, (ushort)nsm.Declared.Vlan);
            }

            return 0;
        });
    }

    /// <summary>Devices of NSMs in the bridge's namespace.</summary>
    private List<uint> Ports()
    {
        using JsonDocument links = JsonDocument.Parse(IpTool.Json(BridgeSpace, "link", "show"));
        return [.. links.RootElement.EnumerateArray().Where(link => link.TryGetProperty("ifname", out JsonElement name) && IsPort(name.GetString()!))
            .Select(link => link.GetProperty("ifindex").GetUInt32())];
    }

    private static bool IsPort(string name) => name.StartsWith("nsm", StringComparison.Ordinal) && uint.TryParse(name.AsSpan(3), out _);

    private static JsonElement Link(string space, string device)
    {
        using JsonDocument links = JsonDocument.Parse(IpTool.Json(space, "link", "show", "dev", device));
        return links.RootElement.GetArrayLength() > 0
            ? links.RootElement[0].Clone()
            : throw new InvalidOperationException($"there is no device {device} in {space}");
    }

    private void InBridge(Action action) => _ = NetworkNamespace.Inside(NetworkNamespace.PathOf(BridgeSpace), () =>
    {
        action();
        return 0;
    });
}
