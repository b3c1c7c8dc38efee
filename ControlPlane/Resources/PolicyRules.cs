using System.Net;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What a policy may be, and which guests it is for.</summary>
internal static class PolicyRules
{
    private const int MaxNsms = 8;

    /// <summary>A policy to be declared, complete.</summary>
    public static Policy New(Policy wanted, Policy? before)
    {
        if (Names.Problem("policy", wanted.Name) is { } problem)
        {
            throw ServiceException.Invalid("policy.name", problem);
        }

        if (wanted.Nsms.Count is 0 or > MaxNsms || wanted.Nsms.Distinct().Count() != wanted.Nsms.Count)
        {
            throw ServiceException.Invalid("policy.nsms", $"a policy names 1 to {MaxNsms} NSMs, in the order of preference, each once");
        }

        PolicyMatch match = wanted.Match ?? new PolicyMatch();
        if (match.Destination.Length > 0 && !IPNetwork.TryParse(match.Destination, out _))
        {
            throw ServiceException.Invalid("policy.match.destination", $"'{match.Destination}' is not a network, as 198.18.0.0/16 (no bits behind the prefix)");
        }

        if (match.Port > ushort.MaxValue)
        {
            throw ServiceException.Invalid("policy.match.port", $"{match.Port} is no port");
        }

        if (match.Protocol is not ("" or "tcp" or "udp"))
        {
            throw ServiceException.Invalid("policy.match.protocol", $"'{match.Protocol}': it is tcp or udp");
        }

        GuestRules.CheckLabels("policy.match.labels", match.Labels);
        return new Policy
        {
            Name = wanted.Name,
            Priority = wanted.Priority,
            Match = wanted.Match?.Clone(),
            Nsms = { wanted.Nsms },
            CreateTime = before?.CreateTime ?? Timestamp.FromDateTime(DateTime.UtcNow),
        };
    }

    /// <summary>The policy that decides over a guest as a whole; null: none does.</summary>
    public static Policy? WholeGuest(Guest guest, Snapshot now) => For(guest, now).FirstOrDefault(policy => !IsForFlows(policy.Match));

    /// <summary>Policies for some connections of a guest, or all, in their order.</summary>
    public static IEnumerable<Policy> For(Guest guest, Snapshot now) =>
        now.Policies.Values.Where(policy => Matches(policy.Match, guest)).OrderBy(policy => policy.Priority).ThenBy(policy => policy.Name, StringComparer.Ordinal);

    /// <summary>Whether a policy is for a guest, or some of its connections.</summary>
    public static bool Matches(PolicyMatch? match, Guest guest) =>
        match is null
        || ((match.Tenant.Length == 0 || match.Tenant == guest.Tenant) && (match.Guest.Length == 0 || match.Guest == guest.Name)
            && match.Labels.All(label => guest.Labels.TryGetValue(label.Key, out string? value) && value == label.Value));

    public static bool IsForFlows(PolicyMatch? match) => match is not null && (match.Destination.Length > 0 || match.Port != 0 || match.Protocol.Length > 0);

    /// <summary>What of a policy is not in force.</summary>
    public static string Problem(Policy policy, Snapshot now, INetwork network) =>
        IsForFlows(policy.Match) && network.OneNsmBecause is { } why
            ? $"not in force: {why} all connections of a guest go to one NSM, so destination, port and protocol decide nothing"
        : policy.Nsms.FirstOrDefault(nsm => !now.Nsms.ContainsKey(nsm)) is { } missing ? $"there is no NSM {missing}"
        : "";
}
