using System.Diagnostics;
using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Limits of real traffic: a guest with one moves no more than that, its neighbour is not held up, and lifted it is over.</summary>
public sealed class LimitTests : IDisposable
{
    private const int Volume = 40_000_000, Rate = 100_000; // minutes at that rate
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(120);

    private readonly NkInstance _nk = NkInstance.Up("limit");

    public LimitTests()
    {
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
    }

    public void Dispose() => _nk.Dispose();

    [Theory]
    [InlineData("send")]
    [InlineData("receive")]
    public void A_limited_guest_keeps_to_its_limit_until_it_is_lifted(string mode)
    {
        using GuestProcess server = _nk.Outside.Start("python3", Programs.Path("volume.py"), "server", "0.0.0.0", "7040");
        Programs.AwaitLine(server, "ready");
        Limit(mode, Rate);
        long began = Stopwatch.GetTimestamp();
        using GuestProcess limited = _nk.Start("a", Client(mode));
        Programs.AwaitLine(limited, "begun");
        CommandResult free = _nk.Run("b", Long, Client(mode));
        Assert.True(free.Succeeded, free.ToString());
        ulong moved = _nk.TrafficOf("a").Bytes;
        Assert.False(limited.Ended);
        if (mode == "send")
        {
            // What a token bucket lets through at most: the burst (a tenth of a second's worth), one send more, and some bytes of talk the other way.
            double most = (Stopwatch.GetElapsedTime(began).TotalSeconds * Rate) + (Rate / 10) + 65536 + 1000;
            Assert.True(moved <= most, $"{moved} bytes, at most {most} are allowed");
        }

        Assert.True(moved < Volume / 2, $"{moved} of {Volume} bytes"); // receiving: the connection's window, too
        Limit(mode, 0);
        CommandResult rest = limited.Wait(Long);
        Assert.True(rest.Succeeded, rest.ToString());
    }

    [Theory]
    [InlineData("send")]
    [InlineData("receive")]
    public void A_guest_with_the_smallest_pool_moves_any_amount_through_it(string mode)
    {
        CommandResult made = _nk.Nk("guest", "create", "small", "--limit-pool", "16M");
        Assert.True(made.Succeeded, made.ToString());
        string pool = Directory.GetFiles($"/proc/{_nk.EnginePid}/fd").First(fd => new FileInfo(fd).LinkTarget?.StartsWith("/memfd:nk-pool-small", StringComparison.Ordinal) == true);
        using (FileStream region = File.OpenRead(pool))
        {
            Assert.InRange(region.Length, 1, 18 << 20); // and its header
        }

        using GuestProcess server = _nk.Outside.Start("python3", Programs.Path("volume.py"), "server", "0.0.0.0", "7041");
        Programs.AwaitLine(server, "ready");
        CommandResult moved = _nk.Run("small", Long, "python3", Programs.Path("volume.py"), mode, "198.18.0.250", "7041", Volume.ToString(CultureInfo.InvariantCulture));
        Assert.True(moved.Succeeded, moved.ToString());
    }

    private static string[] Client(string mode) => ["python3", Programs.Path("volume.py"), mode, "198.18.0.250", "7040", Volume.ToString(CultureInfo.InvariantCulture)];

    private void Limit(string mode, int rate)
    {
        CommandResult done = _nk.Nk("guest", "update", "a", "--limit-" + mode, rate.ToString(CultureInfo.InvariantCulture));
        Assert.True(done.Succeeded, done.ToString());
    }
}
