using System.Text.Json.Serialization;
using NetKernel.ControlPlane.Api;

namespace NetKernel.ControlPlane.State;

/// <summary>What the platform knows of a guest. What is declared is kept in state.json; the rest follows from it.</summary>
internal sealed class GuestRecord
{
    public required string Name { get; init; }

    public required uint Id { get; init; }

    public required string Nsm { get; init; }

    public required string Ipv4 { get; init; }

    public required string Ipv6 { get; init; }

    /// <summary>Its own nameservers; null: the host's.</summary>
    public DnsSpec? Dns { get; init; }

    [JsonIgnore]
    public string AttachPath { get; set; } = "";

    [JsonIgnore]
    public string? NamespacePath { get; set; }

    /// <summary>A process that keeps the namespace, where it has no name; else 0.</summary>
    [JsonIgnore]
    public int NamespacePid { get; set; }

    [JsonIgnore]
    public ulong NamespaceInode { get; set; }

    /// <summary>Why CoreEngine detached it; null while it is attached.</summary>
    [JsonIgnore]
    public string? DetachReason { get; set; }
}

/// <summary>What the platform knows of an NSM.</summary>
internal sealed class NsmRecord
{
    public required string Name { get; init; }

    public required uint Id { get; init; }

    public required string Congestion { get; init; }

    public long SendBuffer { get; init; }

    public long ReceiveBuffer { get; init; }

    [JsonIgnore]
    public string? NamespacePath { get; set; }

    /// <summary>Attached to CoreEngine.</summary>
    [JsonIgnore]
    public bool Ready { get; set; }

    /// <summary>Why it is not ready, as far as known.</summary>
    [JsonIgnore]
    public string? Reason { get; set; }
}

/// <summary>The content of state.json: names and ids, so that ids stay the same. A later store takes its place.</summary>
internal sealed class PlatformState
{
    public int Version { get; set; } = 1;

    public List<NsmRecord> Nsms { get; set; } = [];

    public List<GuestRecord> Guests { get; set; } = [];
}

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(PlatformState))]
internal sealed partial class StateJson : JsonSerializerContext;
