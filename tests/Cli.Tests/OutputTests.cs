using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Tests;

/// <summary>Tables, units and JSON.</summary>
public sealed class OutputTests
{
    private static readonly Guest Guest = new()
    {
        Name = "web",
        Id = 1,
        Tenant = "default",
        Nsm = "kernel0",
        Ipv4 = "198.18.1.1",
        Ipv6 = "2001:2::1:1",
        State = GuestState.Ready,
        NamespacePath = "/run/netns/nk-g-web",
        AttachPath = "/run/netkernel/guests/web.sock",
        Library = "/lib/libnetkernel.so",
        Processes = 2,
        Connections = 3,
        BytesSent = 1_234_567,
        BytesReceived = 89,
        Nqes = 4_500,
        ProcessList = { new ProcessInfo { Pid = 7, Name = "nginx", Covered = true }, new ProcessInfo { Pid = 8, Name = "static\nprogram" } },
    };

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(999, "999 B")]
    [InlineData(1000, "1.0 kB")]
    [InlineData(1_234_567, "1.2 MB")]
    [InlineData(999_960, "1.0 MB")]
    [InlineData(5e18, "5.0 EB")]
    public void Sizes_have_units(double bytes, string text) => Assert.Equal(text, Units.Size(bytes));

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1234, "1.2k")]
    [InlineData(45_000_000, "45.0M")]
    public void Counts_have_units(double number, string text) => Assert.Equal(text, Units.Count(number));

    [Theory]
    [InlineData(0.000_35, "350 us")]
    [InlineData(0.012, "12 ms")]
    [InlineData(3.4, "3.4 s")]
    [InlineData(300, "5 min")]
    [InlineData(7560, "2.1 h")]
    public void Times_have_units(double seconds, string text) => Assert.Equal(text, Units.Time(seconds));

    [Fact]
    public void A_table_is_aligned_and_wide_shows_more()
    {
        Table table = Lists.GuestTable([Guest]);
        Assert.Equal(
            "GUEST  ID  NSM      IPV4        IPV6         STATE  PROCS  CONNS    SENT  RECEIVED  REASON\n"
            + "web     1  kernel0  198.18.1.1  2001:2::1:1  ready      2      3  1.2 MB      89 B  -\n",
            table.Text(wide: false));
        Assert.Contains("nginx(7),static?program(8)", table.Text(wide: true));
    }

    [Fact]
    public void Json_has_plain_numbers_and_camel_case()
    {
        JsonElement guest = JsonDocument.Parse(Listing.Text("json", new[] { Guest }, () => new Table())).RootElement[0];
        Assert.Equal(1_234_567, guest.GetProperty("bytesSent").GetInt64());
        Assert.False(guest.TryGetProperty("reason", out _));
        Assert.False(guest.GetProperty("processList")[1].GetProperty("covered").GetBoolean());
    }

    [Fact]
    public void Rates_are_differences_over_time()
    {
        Counters before = Stat(1_000_000_000, nqes: 1000, bytes: 0);
        Counters now = Stat(3_000_000_000, nqes: 5000, bytes: 2_000_000);
        string text = StatCommand.Text(before, now);
        Assert.Contains("2.0k", text);
        Assert.Contains("1.0 MB", text);
    }

    [Fact]
    public void Counters_that_begin_again_are_no_negative_rate() =>
        Assert.DoesNotContain("-", StatCommand.Text(Stat(1_000_000_000, 5000, 5000), Stat(2_000_000_000, 0, 0)).Replace("kernel-", "", StringComparison.Ordinal));

    [Fact]
    public void Any_cells_make_one_line_each() => Prop.ForAll(
        ArbMap.Default.ArbFor<NonNull<string>[]>(),
        cells =>
        {
            var table = new Table(new Column("A"), new Column("B", Right: true));
            foreach (NonNull<string> cell in cells)
            {
                table.Add(cell.Get, "x");
            }

            return table.Text(wide: false).Count(c => c == '\n') == cells.Length + 1;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_environment_puts_the_library_first()
    {
        Dictionary<string, string> plain = NetKernel.Cli.Run.Launcher.Environment(Guest, covered: true);
        Assert.Equal(Guest.Library, plain["LD_PRELOAD"]);
        Assert.Equal(Guest.AttachPath, plain["NETKERNEL_ATTACH"]);
        Assert.DoesNotContain(Guest.Library, NetKernel.Cli.Run.Launcher.Environment(Guest, covered: false).GetValueOrDefault("LD_PRELOAD", ""));
        Assert.DoesNotContain("NETKERNEL_LOOPBACK", plain);
        Assert.Equal("netkernel", NetKernel.Cli.Run.Launcher.Environment(Guest, covered: true, carryLoopback: true)["NETKERNEL_LOOPBACK"]);
        Assert.Throws<CliException>(() => NetKernel.Cli.Run.Launcher.Environment(new Guest { Library = "/my files/lib.so" }, covered: true));
    }

    private static Counters Stat(ulong clock, ulong nqes, ulong bytes) => new()
    {
        ClockNanoseconds = clock,
        EnginePid = 1,
        Loops = 1,
        UptimeSeconds = 1,
        PerLoop = { new LoopCounters { Nqes = nqes, BytesSent = bytes } },
        Guests = { new GuestCounters { Name = "a", Id = 1, NqesFromGuest = nqes, BytesSent = bytes } },
        Nsms = { new NsmCounters { Name = "kernel0", Id = 1, NqesToNsm = nqes, BytesSent = bytes } },
    };
}
