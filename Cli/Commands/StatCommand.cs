using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk stat: totals, and rates over the last second (or since the last look, with --watch).</summary>
internal static class StatCommand
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    public static int Run(string directory, string format, bool watch)
    {
        using var client = new NkdClient(directory);
        Counters before = client.Counters();
        if (format == "json" && !watch)
        {
            Console.Out.WriteLine(ProtoJson.Text(before));
            return ExitCode.Success;
        }

        bool terminal = !Console.IsOutputRedirected;
        do
        {
            Thread.Sleep(Interval);
            Counters now = client.Counters();
            if (format == "json")
            {
                Console.Out.WriteLine(ProtoJson.Text(now, indented: false));
            }
            else
            {
                Console.Out.Write((watch && terminal ? "\x1b[H\x1b[2J" : "") + Text(before, now) + (watch && !terminal ? "\n" : ""));
            }

            before = now;
        }
        while (watch);
        return ExitCode.Success;
    }

    internal static string Text(Counters before, Counters now)
    {
        double seconds = Math.Max((now.ClockNanoseconds - before.ClockNanoseconds) / 1e9, 1e-9);
        var loops = new Table(
            new("LOOP", Right: true), new("NQE/s", Right: true), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("DOORBELLS/s", Right: true),
            new("CONNS", Right: true), new("NQE", Right: true));
        foreach (LoopCounters loop in now.PerLoop)
        {
            LoopCounters? old = before.PerLoop.FirstOrDefault(other => other.Loop == loop.Loop);
            loops.Add(
                Number(loop.Loop), Rate(loop.Nqes, old?.Nqes), Bytes(loop.BytesSent, old?.BytesSent), Bytes(loop.BytesReceived, old?.BytesReceived),
                Rate(loop.Doorbells, old?.Doorbells), Number(loop.Open), Units.Count(loop.Nqes));
        }

        var guests = new Table(
            new("GUEST"), new("NQE/s", Right: true), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("DOORBELLS/s", Right: true),
            new("CONNS", Right: true), new("CONNECTS", Right: true), new("ACCEPTS", Right: true), new("RESETS", Right: true), new("REFUSED", Right: true),
            new("HELD", Right: true), new("PARKED", Right: true), new("PROCS", Right: true));
        foreach (GuestCounters guest in now.Guests)
        {
            GuestCounters? old = before.Guests.FirstOrDefault(other => other.Id == guest.Id);
            guests.Add(
                guest.Name, Rate(guest.NqesFromGuest + guest.NqesToGuest, old?.NqesFromGuest + old?.NqesToGuest), Bytes(guest.BytesSent, old?.BytesSent),
                Bytes(guest.BytesReceived, old?.BytesReceived), Rate(guest.Doorbells, old?.Doorbells), Number(guest.Open), Units.Count(guest.Connects),
                Units.Count(guest.Accepts), Units.Count(guest.Resets), Units.Count(guest.Refused), Units.Count(guest.Held), Number(guest.Parked), Number(guest.Processes));
        }

        var nsms = new Table(
            new("NSM"), new("NQE/s", Right: true), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("DOORBELLS/s", Right: true),
            new("CONNS", Right: true), new("STRAY", Right: true));
        foreach (NsmCounters nsm in now.Nsms)
        {
            NsmCounters? old = before.Nsms.FirstOrDefault(other => other.Id == nsm.Id);
            nsms.Add(
                nsm.Name, Rate(nsm.NqesToNsm + nsm.NqesFromNsm, old?.NqesToNsm + old?.NqesFromNsm), Bytes(nsm.BytesSent, old?.BytesSent),
                Bytes(nsm.BytesReceived, old?.BytesReceived), Rate(nsm.Doorbells, old?.Doorbells), Number(nsm.Open), Number(nsm.Stray));
        }

        string engine = $"CoreEngine pid {now.EnginePid}, up {Units.Time(now.UptimeSeconds)}, {now.Loops} loop{(now.Loops == 1 ? "" : "s")}\n";
        return engine + loops + (now.Guests.Count > 0 ? "\n" + guests : "") + (now.Nsms.Count > 0 ? "\n" + nsms : "");

        string Rate(ulong value, ulong? old) => Units.Count(PerSecond(value, old));
        string Bytes(ulong value, ulong? old) => Units.Size(PerSecond(value, old));
        double PerSecond(ulong value, ulong? old) => old is { } from && value >= from ? (value - from) / seconds : 0;
    }

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
