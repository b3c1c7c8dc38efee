using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk guest list, nk nsm list, nk conn list.</summary>
internal static class Lists
{
    public static int Guests(string directory, string format, string tenant = "", bool watch = false)
    {
        using var client = new NkdClient(directory);
        if (watch)
        {
            return WatchCommand.Run(client, format, "guest");
        }

        Guest[] guests = client.Guests(processes: format != "table", tenant);
        Listing.Print(Console.Out, format, guests, () => GuestTable(guests));
        foreach (Guest guest in guests.Where(guest => guest.State == GuestState.Detached))
        {
            Console.Error.WriteLine($"nk: guest {guest.Name} was detached: `nk guest delete --force {guest.Name}` lets its name be used again");
        }

        return ExitCode.Success;
    }

    public static int Nsms(string directory, string format, bool watch = false)
    {
        using var client = new NkdClient(directory);
        if (watch)
        {
            return WatchCommand.Run(client, format, "nsm");
        }

        Nsm[] nsms = client.Nsms();
        Listing.Print(Console.Out, format, nsms, () => NsmTable(nsms));
        return ExitCode.Success;
    }

    public static int Tenants(string directory, string format, bool watch = false)
    {
        using var client = new NkdClient(directory);
        if (watch)
        {
            return WatchCommand.Run(client, format, "tenant");
        }

        Tenant[] tenants = client.Tenants();
        Listing.Print(Console.Out, format, tenants, () => TenantTable(tenants));
        return ExitCode.Success;
    }

    public static int Policies(string directory, string format, bool watch = false)
    {
        using var client = new NkdClient(directory);
        if (watch)
        {
            return WatchCommand.Run(client, format, "policy");
        }

        Policy[] policies = client.Policies();
        Listing.Print(Console.Out, format, policies, () => PolicyTable(policies));
        return ExitCode.Success;
    }

    public static int Connections(string directory, string format, string? guest, string? nsm)
    {
        using var client = new NkdClient(directory);
        Connection[] connections = client.Connections(guest ?? "", nsm ?? "", paths: format != "table");
        Listing.Print(Console.Out, format, connections, () => ConnectionTable(connections));
        return ExitCode.Success;
    }

    public static int Audit(string directory, string format, string? target, string? tenant, int most)
    {
        using var client = new NkdClient(directory);
        AuditEntry[] entries = client.Audit(target ?? "", tenant ?? "", most);
        Listing.Print(Console.Out, format, entries, () => AuditTable(entries));
        return ExitCode.Success;
    }

    internal static Table TenantTable(Tenant[] tenants)
    {
        var table = new Table(
            new("TENANT"), new("GUESTS", Right: true), new("MAX", Right: true), new("CONNS", Right: true), new("SENT", Right: true), new("RECEIVED", Right: true),
            new("NQE", Right: true), new("USERS"), new("LABELS", Wide: true), new("REASON"));
        foreach (Tenant t in tenants)
        {
            table.Add(
                t.Name, Number(t.Guests), t.MaxGuests == 0 ? "" : Number(t.MaxGuests), Number(t.Connections), Units.Size(t.BytesSent), Units.Size(t.BytesReceived),
                Units.Count(t.Nqes), string.Join(',', t.Uids), Labels(t.Labels), t.Problem);
        }

        return table;
    }

    internal static Table PolicyTable(Policy[] policies)
    {
        var table = new Table(new("PRIORITY", Right: true), new("POLICY"), new("MATCH"), new("NSMS"), new("PROBLEM"));
        foreach (Policy p in policies.OrderBy(p => p.Priority))
        {
            table.Add(Number(p.Priority), p.Name, p.Match is null || p.Match.Equals(new PolicyMatch()) ? "all" : ProtoText(p.Match), string.Join(',', p.Nsms), p.Problem);
        }

        return table;
    }

    internal static Table AuditTable(AuditEntry[] entries)
    {
        var table = new Table(
            new("TIME"), new("CALLER"), new("METHOD"), new("TARGET"), new("TENANT", Wide: true), new("RESULT"), new("NUMBER", Right: true, Wide: true), new("REQUEST", Wide: true));
        foreach (AuditEntry e in entries)
        {
            table.Add(
                e.Time.ToDateTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture), e.Caller, e.Method, e.Target, e.Tenant, e.Result, Number(e.Number), e.Request);
        }

        return table;
    }

    internal static Table GuestTable(Guest[] guests)
    {
        var table = new Table(
            new("GUEST"), new("ID", Right: true), new("NSM"), new("IPV4"), new("IPV6"), new("STATE"), new("PROCS", Right: true), new("CONNS", Right: true),
            new("SENT", Right: true), new("RECEIVED", Right: true), new("NQE", Right: true, Wide: true), new("TENANT", Wide: true), new("LABELS", Wide: true), new("SHARED-MEMORY", Wide: true), new("CONGESTION", Wide: true), new("DNS", Wide: true), new("PROCESSES", Wide: true),
            new("UNCOVERED", Wide: true), new("REASON"));
        foreach (Guest g in guests)
        {
            ProcessInfo[] processes = [.. g.ProcessList];
            table.Add(
                g.Name, Number(g.Id), Nsms(g), g.Ipv4.Length > 0 ? g.Ipv4 : "host", g.Ipv6.Length > 0 ? g.Ipv6 : "host", State(g), Number(g.Processes), Number(g.Connections), Units.Size(g.BytesSent),
                Units.Size(g.BytesReceived), Units.Count(g.Nqes), g.Tenant, Labels(g.Labels), g.SharedMemory, g.CongestionControl, g.Dns is null ? "host" : string.Join(',', g.Dns.Servers), Names(processes), Uncovered(processes), string.Join("; ", new[] { g.Reason, g.Problem }.Where(one => one.Length > 0)));
        }

        return table;
    }

    internal static Table NsmTable(Nsm[] nsms)
    {
        var table = new Table(
            new("NSM"), new("ID", Right: true), new("KIND"), new("PID", Right: true), new("STATE"), new("RESTARTS", Right: true), new("CONGESTION"),
            new("SNDBUF", Right: true, Wide: true), new("RCVBUF", Right: true, Wide: true), new("GUESTS", Right: true), new("CONNS", Right: true),
            new("SENT", Right: true), new("RECEIVED", Right: true), new("NQE", Right: true, Wide: true), new("CPU", Right: true, Wide: true), new("MEMORY", Right: true, Wide: true), new("DROPPED", Wide: true), new("LINK", Wide: true), new("NAMESPACE", Wide: true), new("QUOTA", Wide: true), new("REASON"));
        foreach (Nsm n in nsms)
        {
            table.Add(
                n.Name, Number(n.Id), n.Kind, n.Pid == 0 ? "" : Number(n.Pid), State(n), Number(n.Restarts), n.CongestionControl, Buffer(n.SendBuffer), Buffer(n.ReceiveBuffer),
                Number(n.Guests), Number(n.Connections), Units.Size(n.BytesSent), Units.Size(n.BytesReceived), Units.Count(n.Nqes), Units.Percent(n.CpuCores), n.MemoryInUse == 0 ? "" : Units.Size(n.MemoryInUse), Dropped(n),
                Link(n), n.NamespacePath.Length > 0 ? Path.GetFileName(n.NamespacePath) : "host", Quota(n), n.Reason.Length > 0 ? n.Reason : Times.LastExit(n.LastExit, n.LastExitTime));
        }

        return table;
    }

    // All, and what most of them were dropped for.
    private static string Dropped(Nsm nsm)
    {
        const int Most = 3;
        if (nsm.DroppedPackets.Count == 0)
        {
            return "";
        }

        IEnumerable<string> reasons = nsm.DroppedPackets.OrderByDescending(one => one.Value).ThenBy(one => one.Key, StringComparer.Ordinal).Take(Most).Select(one => $"{one.Key} {Units.Count(one.Value)}");
        return $"{Units.Count((ulong)nsm.DroppedPackets.Values.Sum(one => (decimal)one))} ({string.Join(", ", reasons)}{(nsm.DroppedPackets.Count > Most ? ", ..." : "")})";
    }

    internal static Table ConnectionTable(Connection[] connections)
    {
        var table = new Table(
            new("GUEST"), new("PROTO"), new("LOCAL"), new("PEER"), new("STATE"), new("NSM"), new("SENT", Right: true), new("RECEIVED", Right: true), new("SEND-Q", Right: true),
            new("RECV-Q", Right: true), new("NQE", Right: true), new("AGE", Right: true, Wide: true), new("SOCKET", Right: true, Wide: true),
            new("LOOP", Right: true, Wide: true), new("CONN", Right: true, Wide: true), new("CC", Wide: true), new("CWND", Right: true, Wide: true), new("SSTHRESH", Right: true, Wide: true),
            new("RTT", Right: true, Wide: true), new("RTTVAR", Right: true, Wide: true), new("RETRANS", Right: true, Wide: true), new("MSS", Right: true, Wide: true));
        foreach (Connection c in connections.OrderBy(c => c.Guest, StringComparer.Ordinal).ThenBy(c => c.State != "listen").ThenBy(c => c.AgeSeconds))
        {
            PathMeasures? p = c.Path;
            table.Add(
                c.Guest, c.Protocol, c.Local, c.Peer, c.State, c.Form == "direct" ? c.Nsm + "/direct" : c.Form == "copy" && c.Protocol == "udp" ? c.Nsm + "+sharedmem" : c.Nsm, Units.Size(c.BytesSent), Units.Size(c.BytesReceived), Units.Size(c.SendQueue),
                Units.Size(c.ReceiveQueue), Units.Count(c.Nqes), Units.Time(c.AgeSeconds), Number(c.Socket), Number(c.Loop), Number(c.Id),
                p?.CongestionControl ?? "", Shown(p?.Cwnd), p is { Ssthresh: 0 } ? "-" : Shown(p?.Ssthresh), Milliseconds(p?.RttMicroseconds), Milliseconds(p?.RttVariationMicroseconds),
                Shown(p?.Retransmits), Shown(p?.Mss));
        }

        return table;
    }

    private static string Names(IEnumerable<ProcessInfo> processes)
    {
        ProcessInfo[] all = [.. processes];
        string names = string.Join(',', all.Take(6).Select(process => $"{process.Name}({process.Pid})"));
        return all.Length > 6 ? $"{names},+{all.Length - 6}" : names;
    }

    private static string Uncovered(ProcessInfo[] processes) =>
        string.Join("; ", processes.Where(process => !process.Covered).Select(process => $"{process.Name}({process.Pid}): {process.Reason}"));

    internal static string State(Guest guest) => ProtoJson.Name(GuestFields.FindFieldByName("state").EnumType, (int)guest.State);

    internal static string State(Nsm nsm) => ProtoJson.Name(NsmFields.FindFieldByName("state").EnumType, (int)nsm.State);

    private static readonly Google.Protobuf.Reflection.MessageDescriptor GuestFields = Guest.Descriptor, NsmFields = Nsm.Descriptor;

    private static string ProtoText(Google.Protobuf.IMessage message) => string.Join(
        ' ', message.Descriptor.Fields.InFieldNumberOrder().Select(field => (field.JsonName, Value: ProtoJson.Value(message, field).Trim('"'))).Where(pair => pair.Value.Length > 0)
            .Select(pair => $"{pair.JsonName}={pair.Value}"));

    // Its own first, then those that serve it, too.
    private static string Nsms(Guest g) => string.Join(',', g.Nsms.Where(one => one != g.Nsm).Prepend(g.Nsm));

    private static string Labels(IDictionary<string, string> labels) =>
        string.Join(',', labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => $"{label.Key}={label.Value}"));

    private static string Link(Nsm n) => string.Join(',', new[] { n.Link, n.Vlan == 0 ? "" : $"vlan {n.Vlan}", n.NetworkMode }.Where(one => one.Length > 0));

    private static string Quota(Nsm n) => n.QuotaProblem.Length > 0 ? n.QuotaProblem
        : string.Join(',', new[] { n.CpuMillicores > 0 ? $"cpu {n.CpuMillicores}m" : "", n.MemoryBytes > 0 ? "memory " + Units.Size(n.MemoryBytes) : "" }.Where(one => one.Length > 0));

    private static string Buffer(long bytes) => bytes == 0 ? "auto" : Units.Size(bytes);

    private static string Shown(uint? number) => number is { } known ? Number(known) : "";

    private static string Milliseconds(uint? microseconds) => microseconds is { } known ? (known / 1000.0).ToString("0.0## ms", CultureInfo.InvariantCulture) : "";

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
