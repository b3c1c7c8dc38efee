using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk top: tenants and guests by what they use, again every second.</summary>
internal static class TopCommand
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>Rounds 0: until Ctrl-C.</summary>
    public static int Run(string directory, int rounds, int rows)
    {
        using var client = new NkdClient(directory);
        bool terminal = !Console.IsOutputRedirected;
        Counters before = client.Counters();
        for (int round = 0; rounds == 0 || round < rounds; round++)
        {
            Thread.Sleep(Interval);
            Counters now = client.Counters();
            Console.Out.Write((terminal ? "\x1b[H\x1b[2J" : round > 0 ? "\n" : "") + Text(before, now, rows));
            before = now;
        }

        return ExitCode.Success;
    }

    internal static string Text(Counters before, Counters now, int rows)
    {
        double seconds = Math.Max((now.ClockNanoseconds - before.ClockNanoseconds) / 1e9, 1e-9);
        Dictionary<string, GuestCounters> old = before.Guests.GroupBy(guest => guest.Name).ToDictionary(group => group.Key, group => group.First());
        var lines = now.Guests.Select(guest =>
        {
            GuestCounters? was = old.GetValueOrDefault(guest.Name) is { } same && same.Id == guest.Id ? same : null;
            return new Line(
                guest.Tenant, guest.Name, Rate(guest.BytesSent, was?.BytesSent), Rate(guest.BytesReceived, was?.BytesReceived),
                Rate(guest.NqesFromGuest + guest.NqesToGuest, was?.NqesFromGuest + was?.NqesToGuest), Rate(guest.Connects + guest.Accepts, was?.Connects + was?.Accepts),
                Rate(Cpu(guest), was is null ? null : Cpu(was)) / 1e9, guest.Open, guest.Processes);
        }).ToList();

        var tenants = new Table(
            new("TENANT"), new("GUESTS", Right: true), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("NQE/s", Right: true), new("NEW/s", Right: true),
            new("CPU", Right: true), new("CONNS", Right: true), new("PROCS", Right: true));
        foreach (IGrouping<string, Line> of in lines.GroupBy(line => line.Tenant).OrderByDescending(of => of.Sum(line => line.Sent + line.Received)))
        {
            tenants.Add(
                of.Key, Number(of.Count()), Units.Size(of.Sum(l => l.Sent)), Units.Size(of.Sum(l => l.Received)), Units.Count(of.Sum(l => l.Nqes)),
                Units.Count(of.Sum(l => l.New)), Units.Percent(of.Sum(l => l.Cpu)), Number(of.Sum(l => (double)l.Open)), Number(of.Sum(l => (double)l.Processes)));
        }

        var guests = new Table(
            new("GUEST"), new("TENANT"), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("NQE/s", Right: true), new("NEW/s", Right: true),
            new("CPU", Right: true), new("CONNS", Right: true), new("PROCS", Right: true));
        foreach (Line line in lines.OrderByDescending(line => line.Sent + line.Received).ThenByDescending(line => line.Nqes).Take(rows))
        {
            guests.Add(
                line.Guest, line.Tenant, Units.Size(line.Sent), Units.Size(line.Received), Units.Count(line.Nqes), Units.Count(line.New), Units.Percent(line.Cpu),
                Number(line.Open), Number(line.Processes));
        }

        string more = lines.Count > rows ? $"... and {lines.Count - rows} more\n" : "";
        return $"CoreEngine pid {now.EnginePid}, up {Units.Time(now.UptimeSeconds)}, {lines.Count} guests\n\n{tenants}\n{guests}{more}";

        double Rate(ulong value, ulong? was) => was is { } from && value >= from ? (value - from) / seconds : 0;
    }

    private static ulong Cpu(GuestCounters guest) => guest.EngineCpuNanoseconds + guest.NsmCpuNanoseconds;

    private static string Number(double number) => number.ToString("F0", CultureInfo.InvariantCulture);

    private sealed record Line(string Tenant, string Guest, double Sent, double Received, double Nqes, double New, double Cpu, ulong Open, ulong Processes);
}
