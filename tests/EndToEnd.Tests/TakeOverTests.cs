using System.Globalization;
using System.Text.Json;
using NetKernel.Api.V1;
using NetKernel.Cli;
using NetKernel.Cli.Testbed;
using Xunit.Abstractions;

namespace NetKernel.EndToEnd.Tests;

/// <summary>nkd is killed, stopped and started again while programs run; it takes over what there is.</summary>
[Trait("Category", "Fault")]
public sealed class TakeOverTests(ITestOutputHelper output)
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    [RootFact]
    public void Nkd_killed_and_started_again_disturbs_neither_iperf3_nor_redis()
    {
        using NkInstance nk = NkInstance.Up("take", "--shared-memory", "off");
        using GuestProcess iperfServer = nk.Start("d", "iperf3", "-s");
        Assert.True(nk.WaitForListener("d", 5201, Time), iperfServer.Error);
        using GuestProcess redis = nk.Start("c", "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", nk.Folder);
        Assert.True(nk.WaitForListener("c", 6379, Time), redis.Error);
        using GuestProcess iperf = nk.Start("a", "iperf3", "-c", nk.Ipv4("d"), "-t", "12", "-J");
        using GuestProcess benchmark = nk.Start(
            "b", "redis-benchmark", "-h", nk.Ipv4("c"), "-n", "100000000", "-c", "10", "-t", "set,get", "-q");
        (int engine, int nsm) = (nk.EnginePid, nk.NsmPid());
        Moves(nk);
        for (int round = 0; round < 3; round++)
        {
            int old = nk.ControlPlanePid;
            if (round < 2)
            {
                Assert.Equal(0, GuestProcess.SendSignal(old, 9));
            }
            else
            {
                Assert.Equal(0, GuestProcess.SendSignal(old, 15)); // an upgrade stops it in order
            }

            Assert.True(NkInstance.WaitFor(() => Gone(old), Time));
            nk.StartControlPlane();
            Assert.NotEqual(old, nk.ControlPlanePid);
            Assert.Equal((engine, nsm), (nk.EnginePid, nk.NsmPid()));
            Assert.All(new[] { "a", "b", "c", "d" }, guest => Assert.Equal("ready", nk.StateOf(guest)));
            Moves(nk);
        }

        CommandResult transfer = iperf.Wait(Time);
        Assert.True(transfer.Succeeded, transfer.ToString());
        using JsonDocument report = JsonDocument.Parse(transfer.Output);
        Assert.False(report.RootElement.TryGetProperty("error", out JsonElement error), error.ToString());
        Assert.False(benchmark.Ended, benchmark.Output + benchmark.Error);
        Assert.Empty(benchmark.Error);
        Assert.DoesNotContain("rror", benchmark.Output, StringComparison.Ordinal);
        benchmark.Kill();
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"iperf3 moved {report.RootElement.GetProperty("end").GetProperty("sum_received").GetProperty("bytes").GetDouble() / 1e9:F1} GB meanwhile"));

        // It manages all again: a killed NSM is started again, guests come and go.
        Assert.Equal(0, GuestProcess.SendSignal(nsm, 9));
        Assert.True(NkInstance.WaitFor(() => nk.NsmPid() != nsm && nk.NsmReady(), Time));
        nk.CreateGuest("new");
        Assert.True(nk.Run("new", Time, "redis-cli", "-h", nk.Ipv4("c"), "ping").Output.Contains("PONG", StringComparison.Ordinal));
        Assert.Equal(0, nk.Nk("guest", "delete", "new").ExitCode);
        Assert.Equal(0, nk.Nk("guest", "delete", "d", "--force").ExitCode);
        Assert.Equal(0, GuestProcess.SendSignal(engine, 9));
        Assert.True(NkInstance.WaitFor(() => nk.EnginePid != engine && nk.EnginePid != 0 && nk.NsmReady(), Time));
    }

    /// <summary>
    /// Sequences of changes, nkd killed at random moments. NK_CRASH_SEQUENCES (150) says how many sequences.
    /// </summary>
    [RootFact]
    public void What_nkd_has_acknowledged_it_still_knows_when_it_was_killed_and_no_guest_is_half_made()
    {
        int wanted = int.Parse(Environment.GetEnvironmentVariable("NK_CRASH_SEQUENCES") ?? "150", CultureInfo.InvariantCulture);
        int seed = int.Parse(Environment.GetEnvironmentVariable("NK_CRASH_SEED") ?? Random.Shared.Next().ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        var random = new Random(seed);
        using NkInstance nk = NkInstance.Up("crash", "--mode", "private");
        using var client = new NkdClient(nk.RunDirectory);
        var model = new Dictionary<string, string>(); // guest to label
        int sequences = 0, changes = 0, kills = 0;
        while (sequences < wanted)
        {
            int pid = nk.ControlPlanePid;
            double moment = random.NextDouble() * 1200;
            using var killer = new Timer(_ => GuestProcess.SendSignal(pid, 9), null, TimeSpan.FromMilliseconds(moment), Timeout.InfiniteTimeSpan);
            (string Guest, string? Label) underWay = default;
            try
            {
                while (true)
                {
                    string guest = $"g{random.Next(12)}";
                    for (int step = random.Next(1, 4); step > 0; step--)
                    {
                        string? label = model.ContainsKey(guest) && random.Next(3) == 0 ? null : random.Next(1000).ToString(CultureInfo.InvariantCulture);
                        underWay = (guest, label);
                        Change(client, model, guest, label);
                        changes++;
                    }

                    sequences++;
                }
            }
            catch (CliException)
            {
                kills++;
            }

            Assert.True(NkInstance.WaitFor(() => Gone(pid), Time));
            nk.StartControlPlane();
            Check(nk, client, model, underWay, $"seed {seed}, kill {kills}");
        }

        output.WriteLine($"{sequences} sequences, {changes} acknowledged changes, {kills} kills, seed {seed}");
    }

    private static void Change(NkdClient client, Dictionary<string, string> model, string guest, string? label)
    {
        if (label is null)
        {
            client.DeleteGuest(guest, force: false);
            _ = model.Remove(guest);
            return;
        }

        var wanted = new Guest { Name = guest, Labels = { ["n"] = label } };
        _ = model.ContainsKey(guest) ? client.UpdateGuest(wanted, ["labels"]) : client.CreateGuest(wanted, mustBeNew: true);
        model[guest] = label;
    }

    private static void Check(NkInstance nk, NkdClient client, Dictionary<string, string> model, (string Guest, string? Label) underWay, string when)
    {
        Guest[] guests = client.Guests();
        Dictionary<string, string> there = guests.ToDictionary(guest => guest.Name, guest => guest.Labels["n"]);

        // The change under way may have been made or not, but not by half.
        string? now = there.GetValueOrDefault(underWay.Guest ?? "");
        if (underWay.Guest is not null && now == underWay.Label)
        {
            _ = now is null ? model.Remove(underWay.Guest) : (model[underWay.Guest] = now) is not null;
        }

        Assert.True(
            model.OrderBy(pair => pair.Key).SequenceEqual(there.OrderBy(pair => pair.Key)),
            $"{when}: expected {string.Join(' ', model.OrderBy(pair => pair.Key))}, found {string.Join(' ', there.OrderBy(pair => pair.Key))}");
        Assert.All(guests, guest => Assert.True(guest.State == GuestState.Ready, $"{when}: {guest.Name} is {guest.State}: {guest.Reason}"));
        string prefix = nk.Name + "-g-";
        Assert.Equal(
            there.Keys.Order(StringComparer.Ordinal),
            Directory.EnumerateFiles("/run/netns").Select(path => Path.GetFileName(path)).Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
                .Select(name => name[prefix.Length..]).Order(StringComparer.Ordinal));
        Assert.All(guests, guest => Assert.True(File.Exists(guest.AttachPath), $"{when}: {guest.AttachPath} is missing"));
        Assert.Equal(
            there.Keys.Order(StringComparer.Ordinal),
            Directory.EnumerateFiles(Path.Combine(nk.RunDirectory, "guests"), "*.sock").Select(path => Path.GetFileNameWithoutExtension(path)).Order(StringComparer.Ordinal));
    }

    // Traffic flows, as CoreEngine's counters say.
    private static void Moves(NkInstance nk)
    {
        Traffic before = nk.TrafficOf();
        Assert.True(NkInstance.WaitFor(() => nk.TrafficOf("a").Bytes > 0 && (nk.TrafficOf() - before).Bytes > 10_000_000 && nk.TrafficOf("c").Bytes > 0, Time), "no traffic");
    }

    private static bool Gone(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");

            // A killed leader is a zombie at once, while its other threads may still hold the files.
            return stat[stat.LastIndexOf(')')..].StartsWith(") Z", StringComparison.Ordinal) && Directory.GetDirectories($"/proc/{pid}/task").Length <= 1;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
