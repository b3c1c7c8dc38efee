using System.Text.Json.Serialization;

namespace NetKernel.ControlPlane.Api;

// What nkd and nk say to each other. Compiled by source into both, and into nothing else; the gRPC messages take its place.

/// <summary>The platform as a whole.</summary>
internal sealed record StatusInfo(
    string Version, string Instance, string Mode, string RunDirectory, int Pid, string EngineState, int EnginePid, int EngineRestarts,
    int Loops, int Guests, int Nsms, double UptimeSeconds, string Library, string? Notice);

/// <summary>
/// A guest as the operator sees it. Processes are listed only when asked for. Files: a folder whose files the guest's programs see in /etc; null: none.
/// </summary>
internal sealed record GuestInfo(
    string Name, uint Id, string Nsm, string? Ipv4, string? Ipv6, string State, string? Reason, string? NamespacePath, int NamespacePid,
    string AttachPath, string Library, long Processes, long Connections, ulong BytesSent, ulong BytesReceived, ulong Nqes,
    ProcessInfo[]? ProcessList, DnsSpec? Dns = null, string? Files = null);

/// <summary>A process in a guest's namespace. Covered: the guest library serves its sockets; if not, the reason.</summary>
internal sealed record ProcessInfo(int Pid, string Name, bool Covered, string? Reason = null);

/// <summary>Creates a guest, or answers with the one there is. Null: the platform chooses.</summary>
internal sealed record GuestSpec(string? Nsm = null, string? Ipv4 = null, string? Ipv6 = null, DnsSpec? Dns = null);

/// <summary>What a guest's resolv.conf says; without one the guest has the host's.</summary>
internal sealed record DnsSpec(string[] Servers, string[] Search, string[] Options)
{
    public bool Equals(DnsSpec? other) =>
        other is not null && Servers.SequenceEqual(other.Servers) && Search.SequenceEqual(other.Search) && Options.SequenceEqual(other.Options);

    public override int GetHashCode() => Servers.Length;
}

/// <summary>A network stack module.</summary>
internal sealed record NsmInfo(
    string Name, uint Id, string Kind, int Pid, string State, string? Reason, int Restarts, string Congestion, long SendBuffer, long ReceiveBuffer,
    string? NamespacePath, int Guests, long Connections, ulong BytesSent, ulong BytesReceived, ulong Nqes);

/// <summary>Creates an NSM. Buffers in bytes; 0: the kernel's automatic sizes.</summary>
internal sealed record NsmSpec(string? Congestion = null, long SendBuffer = 0, long ReceiveBuffer = 0);

/// <summary>One entry of the connection table.</summary>
internal sealed record ConnectionEntry(
    string Guest, string Local, string Peer, string State, string Nsm, ulong BytesSent, ulong BytesReceived, uint SendQueue, uint ReceiveQueue,
    ulong Nqes, uint Loop, uint Id, uint Socket, double AgeSeconds);

/// <summary>All counters at one moment, so that two of these give rates.</summary>
internal sealed record StatInfo(
    ulong ClockNanoseconds, int EnginePid, uint Loops, double HeartbeatAgeSeconds, double UptimeSeconds, LoopStat[] PerLoop, GuestStat[] Guests,
    NsmStat[] Nsms);

/// <summary>One switching loop.</summary>
internal sealed record LoopStat(uint Loop, ulong Nqes, ulong BytesSent, ulong BytesReceived, ulong Doorbells, ulong Open);

/// <summary>One guest, summed over the loops.</summary>
internal sealed record GuestStat(
    string Name, uint Id, ulong NqesFromGuest, ulong NqesToGuest, ulong BytesSent, ulong BytesReceived, ulong Connects, ulong Accepts, ulong Closes,
    ulong Resets, ulong Refused, ulong Doorbells, ulong Open, ulong Parked, ulong Processes);

/// <summary>One NSM, summed over the loops.</summary>
internal sealed record NsmStat(
    string Name, uint Id, ulong NqesToNsm, ulong NqesFromNsm, ulong BytesSent, ulong BytesReceived, ulong Open, ulong Stray, ulong Doorbells);

/// <summary>Why a call failed. The codes are gRPC's names.</summary>
internal sealed record ErrorInfo(string Code, string Message);

/// <summary>Serializers made at compile time.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(StatusInfo))]
[JsonSerializable(typeof(GuestInfo[]))]
[JsonSerializable(typeof(GuestSpec))]
[JsonSerializable(typeof(NsmInfo[]))]
[JsonSerializable(typeof(NsmSpec))]
[JsonSerializable(typeof(ConnectionEntry[]))]
[JsonSerializable(typeof(StatInfo))]
[JsonSerializable(typeof(ErrorInfo))]
internal sealed partial class ContractJson : JsonSerializerContext;
