using System.Globalization;
using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Usage of real traffic: every byte is somebody's, once, whatever is killed; processor time adds up; stacks measure.</summary>
[Trait("Category", "Fault")]
public sealed class UsageTests
{
    private const long Bytes = 300_000, Connections = 5;
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    [RootFact]
    public void Every_byte_is_counted_once_by_both_stacks_although_nkd_is_killed_and_guests_go()
    {
        using NkInstance nk = NkInstance.Up("usage");
        Ok(nk.Nk("tenant", "create", "acme"));
        Ok(nk.Nk("tenant", "create", "beta"));
        Ok(nk.Nk("nsm", "create", "mtcp0", "--kind", "mtcp"));
        Ok(nk.Nk("guest", "create", "web", "--tenant", "acme"));
        Ok(nk.Nk("guest", "create", "shop", "--tenant", "acme", "--nsm", "mtcp0"));
        Ok(nk.Nk("guest", "create", "db", "--tenant", "beta"));
        using GuestProcess server = nk.Start("db", "python3", Programs.Path("talk.py"), "server", "7051");
        Programs.AwaitLine(server, "ready");

        Talk(nk, "web");
        Talk(nk, "shop");

        // Each connection is measured, at its end at the latest, by whichever stack.
        foreach (string guest in new[] { "web", "shop", "db" })
        {
            Assert.True(NkInstance.WaitFor(() => Measured(nk, guest) >= Connections, Time), $"{guest}: {Measured(nk, guest)} round-trip times");
        }

        int old = nk.ControlPlanePid;
        Assert.Equal(0, GuestProcess.SendSignal(old, 9));
        Assert.True(NkInstance.WaitFor(() => !Directory.Exists($"/proc/{old}"), Time));
        nk.StartControlPlane();
        Talk(nk, "web");
        Talk(nk, "shop");
        Ok(nk.Nk("guest", "delete", "shop")); // at once: what it did since the last look goes with nobody

        JsonElement all = Settled(nk, "db", 4 * Connections * Bytes);
        foreach ((string guest, string nsm, long rounds) in new[] { ("web", "kernel0", 2L), ("shop", "mtcp0", 2L) })
        {
            JsonElement row = Row(all, guest, nsm);
            Assert.Equal((rounds * Connections * Bytes, rounds * Connections * Bytes), (Number(row, "sent_bytes"), Number(row, "received_bytes")));
            Assert.Equal((rounds * Connections, 0), (Number(row, "connects"), Number(row, "connects_failed")));
            Assert.True(Number(row, "operations") > Connections && Number(row, "nqes") > Number(row, "operations"), row.ToString());
            Assert.True(row.GetProperty("engine_cpu_seconds").GetDecimal() > 0 && row.GetProperty("nsm_cpu_seconds").GetDecimal() > 0, row.ToString());
        }

        Assert.Equal(4 * Connections, Number(Row(all, "db", "kernel0"), "accepts"));

        // All rows together are the processes' time: of two exports around a look at the counters, one is before and one after.
        decimal first = Total(all, "engine_cpu_seconds");
        decimal engine = nk.List("stat").GetProperty("engineCpuNanoseconds").GetInt64() / 1_000_000_000m;
        decimal second = Total(Export(nk), "engine_cpu_seconds");
        Assert.True(first <= engine && engine <= second, $"{first} {engine} {second}");
        Assert.All(all.GetProperty("total").EnumerateObject(), column => Assert.Equal(
            column.Value.GetDecimal(), all.GetProperty("rows").EnumerateArray().Sum(row => row.GetProperty(column.Name).GetDecimal())));
    }

    private static long Measured(NkInstance nk, string guest)
    {
        JsonElement total = nk.List("usage", "guest").EnumerateArray().Single(row => row.TryGetProperty("guest", out JsonElement name) && name.GetString() == guest).GetProperty("total");
        Assert.Equal(total.GetProperty("rttSamples").GetInt64() > 0, total.GetProperty("rttMicroseconds").GetDouble() > 0);
        return total.GetProperty("rttSamples").GetInt64();
    }

    private static void Ok(CommandResult result) => Assert.True(result.Succeeded, result.ToString());

    private static void Talk(NkInstance nk, string guest)
    {
        CommandResult done = nk.Run(
            guest, Time, "python3", Programs.Path("talk.py"), "client", nk.Ipv4("db"), "7051", Bytes.ToString(CultureInfo.InvariantCulture), Connections.ToString(CultureInfo.InvariantCulture));
        Assert.True(done.Succeeded, done.ToString());
    }

    private static JsonElement Export(NkInstance nk)
    {
        CommandResult export = nk.Nk("usage", "export", "--from", "1h", "-o", "json");
        Ok(export);
        return JsonDocument.Parse(export.Output).RootElement.Clone();
    }

    // What the last connection did may be a look of nkd's away.
    private static JsonElement Settled(NkInstance nk, string guest, long received)
    {
        JsonElement all = default;
        _ = NkInstance.WaitFor(
            () =>
            {
                all = Export(nk);
                return Number(Row(all, guest, "kernel0"), "received_bytes") == received;
            },
            Time);
        return all;
    }

    private static JsonElement Row(JsonElement all, string guest, string nsm) =>
        all.GetProperty("rows").EnumerateArray().Single(row => row.GetProperty("guest").GetString() == guest && row.GetProperty("nsm").GetString() == nsm);

    private static long Number(JsonElement row, string column) => row.GetProperty(column).GetInt64();

    private static decimal Total(JsonElement all, string column) => all.GetProperty("total").GetProperty(column).GetDecimal();
}
