using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli.Tests;

/// <summary>nk top: what of two readings of all counters is shown.</summary>
public sealed class TopTests
{
    [Fact]
    public void Rates_are_those_between_two_readings_and_the_busiest_come_first()
    {
        var before = new Counters
        {
            ClockNanoseconds = 1_000_000_000,
            EnginePid = 7,
            Guests = { Guest("idle", "acme", 1, sent: 500), Guest("busy", "acme", 2, sent: 1_000_000), Guest("other", "zeta", 3, sent: 0), Guest("again", "zeta", 4, sent: 9_000_000) },
        };
        var now = new Counters
        {
            ClockNanoseconds = 3_000_000_000,
            EnginePid = 7,
            UptimeSeconds = 60,
            Guests =
            {
                Guest("idle", "acme", 1, sent: 500), Guest("busy", "acme", 2, sent: 5_000_000, cpu: 1_000_000_000), Guest("other", "zeta", 3, sent: 2_000),
                Guest("again", "zeta", 5, sent: 9_000_000), // another guest by that name: what it has is not of these two seconds
            },
        };

        string[] lines = TopCommand.Text(before, now, rows: 3).Split('\n');
        Assert.StartsWith("CoreEngine pid 7, up ", lines[0], StringComparison.Ordinal);
        Assert.EndsWith(", 4 guests", lines[0], StringComparison.Ordinal);
        Assert.Equal(["TENANT", "acme", "zeta"], lines[2..5].Select(line => line.Split(' ')[0]));
        Assert.Equal(["acme", "2", "2.0", "MB", "0", "B", "0", "0", "50.0%", "0", "0"], Words(lines[3]));
        Assert.Equal(["zeta", "2", "1.0", "kB", "0", "B", "0", "0", "0.0%", "0", "0"], Words(lines[4]));
        Assert.Equal(["GUEST", "busy", "other"], lines[6..9].Select(line => line.Split(' ')[0]));
        Assert.Equal("... and 1 more", lines[10]);
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    private static GuestCounters Guest(string name, string tenant, uint id, ulong sent, ulong cpu = 0) =>
        new() { Name = name, Tenant = tenant, Id = id, BytesSent = sent, EngineCpuNanoseconds = cpu };
}
