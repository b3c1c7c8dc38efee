using System.Collections.Immutable;
using NetKernel.Api.V1;

namespace NetKernel.ControlPlane.Resources;

/// <summary>Everything declared at one revision of the store. Readers take one and need no lock.</summary>
internal sealed record Snapshot(
    long Revision, ImmutableSortedDictionary<string, GuestRecord> Guests, ImmutableDictionary<uint, GuestRecord> GuestIds,
    ImmutableDictionary<string, GuestRecord> Addresses, ImmutableSortedDictionary<string, NsmRecord> Nsms, ImmutableSortedDictionary<string, Tenant> Tenants,
    ImmutableSortedDictionary<string, Policy> Policies)
{
    public static Snapshot Empty { get; } = new(
        0, ImmutableSortedDictionary.Create<string, GuestRecord>(StringComparer.Ordinal), ImmutableDictionary<uint, GuestRecord>.Empty,
        ImmutableDictionary<string, GuestRecord>.Empty, ImmutableSortedDictionary.Create<string, NsmRecord>(StringComparer.Ordinal),
        ImmutableSortedDictionary.Create<string, Tenant>(StringComparer.Ordinal), ImmutableSortedDictionary.Create<string, Policy>(StringComparer.Ordinal));

    public NsmRecord? NsmOf(uint id) => Nsms.Values.FirstOrDefault(nsm => nsm.Id == id);

    public IEnumerable<GuestRecord> GuestsOf(string nsm) => Guests.Values.Where(guest => guest.Nsm == nsm);

    public Snapshot With(GuestRecord guest) => this with
    {
        Guests = Guests.SetItem(guest.Name, guest),
        GuestIds = GuestIds.SetItem(guest.Id, guest),
        Addresses = Addresses.SetItem(guest.Ipv4, guest).SetItem(guest.Ipv6, guest),
    };

    public Snapshot Without(GuestRecord guest) => this with
    {
        Guests = Guests.Remove(guest.Name),
        GuestIds = GuestIds.Remove(guest.Id),
        Addresses = Addresses.Remove(guest.Ipv4).Remove(guest.Ipv6),
    };
}
