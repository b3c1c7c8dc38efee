using System.Globalization;
using NetKernel.Cli.Output;
using NetKernel.ControlPlane.Api;

namespace NetKernel.Cli.Commands;

/// <summary>nk guest list, nk nsm list, nk conn list.</summary>
internal static class Lists
{
    public static int Guests(string directory, string format)
    {
        using var client = new NkdClient(directory);
        GuestInfo[] guests = client.Guests(processes: format != "table");
        Listing.Print(Console.Out, format, guests, () => GuestTable(guests));
        foreach (GuestInfo guest in guests.Where(guest => guest.State == "detached"))
        {
            Console.Error.WriteLine($"nk: guest {guest.Name} was detached: `nk guest delete --force {guest.Name}` lets its name be used again");
        }

        return ExitCode.Success;
    }

    public static int Nsms(string directory, string format)
    {
        using var client = new NkdClient(directory);
        NsmInfo[] nsms = client.Nsms();
        Listing.Print(Console.Out, format, nsms, () => NsmTable(nsms));
        return ExitCode.Success;
    }

    public static int Connections(string directory, string format, string? guest)
    {
        using var client = new NkdClient(directory);
        ConnectionEntry[] connections = client.Connections(guest);
        Listing.Print(Console.Out, format, connections, () => ConnectionTable(connections));
        return ExitCode.Success;
    }

    internal static Table GuestTable(GuestInfo[] guests)
    {
        var table = new Table(
            new("GUEST"), new("ID", Right: true), new("NSM"), new("IPV4"), new("IPV6"), new("STATE"), new("PROCS", Right: true), new("CONNS", Right: true),
            new("SENT", Right: true), new("RECEIVED", Right: true), new("NQE", Right: true, Wide: true), new("DNS", Wide: true), new("PROCESSES", Wide: true),
            new("UNCOVERED", Wide: true), new("REASON"));
        foreach (GuestInfo g in guests)
        {
            ProcessInfo[] processes = g.ProcessList ?? [];
            table.Add(
                g.Name, Number(g.Id), g.Nsm, g.Ipv4 ?? "host", g.Ipv6 ?? "host", g.State, Number(g.Processes), Number(g.Connections), Units.Size(g.BytesSent),
                Units.Size(g.BytesReceived), Units.Count(g.Nqes), g.Dns is null ? "host" : string.Join(',', g.Dns.Servers), Names(processes), Uncovered(processes), g.Reason ?? "");
        }

        return table;
    }

    internal static Table NsmTable(NsmInfo[] nsms)
    {
        var table = new Table(
            new("NSM"), new("ID", Right: true), new("KIND"), new("PID", Right: true), new("STATE"), new("RESTARTS", Right: true), new("CONGESTION"),
            new("SNDBUF", Right: true, Wide: true), new("RCVBUF", Right: true, Wide: true), new("GUESTS", Right: true), new("CONNS", Right: true),
            new("SENT", Right: true), new("RECEIVED", Right: true), new("NQE", Right: true, Wide: true), new("NAMESPACE", Wide: true), new("REASON"));
        foreach (NsmInfo n in nsms)
        {
            table.Add(
                n.Name, Number(n.Id), n.Kind, n.Pid == 0 ? "" : Number(n.Pid), n.State, Number(n.Restarts), n.Congestion, Buffer(n.SendBuffer), Buffer(n.ReceiveBuffer),
                Number(n.Guests), Number(n.Connections), Units.Size(n.BytesSent), Units.Size(n.BytesReceived), Units.Count(n.Nqes),
                Path.GetFileName(n.NamespacePath) ?? "host", n.Reason ?? "");
        }

        return table;
    }

    internal static Table ConnectionTable(ConnectionEntry[] connections)
    {
        var table = new Table(
            new("GUEST"), new("LOCAL"), new("PEER"), new("STATE"), new("NSM"), new("SENT", Right: true), new("RECEIVED", Right: true), new("SEND-Q", Right: true),
            new("RECV-Q", Right: true), new("NQE", Right: true), new("AGE", Right: true, Wide: true), new("SOCKET", Right: true, Wide: true),
            new("LOOP", Right: true, Wide: true), new("CONN", Right: true, Wide: true));
        foreach (ConnectionEntry c in connections.OrderBy(c => c.Guest, StringComparer.Ordinal).ThenBy(c => c.State != "listen").ThenBy(c => c.AgeSeconds))
        {
            table.Add(
                c.Guest, c.Local, c.Peer, c.State, c.Nsm, Units.Size(c.BytesSent), Units.Size(c.BytesReceived), Units.Size(c.SendQueue),
                Units.Size(c.ReceiveQueue), Units.Count(c.Nqes), Units.Time(c.AgeSeconds), Number(c.Socket), Number(c.Loop), Number(c.Id));
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

    private static string Buffer(long bytes) => bytes == 0 ? "auto" : Units.Size(bytes);

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
