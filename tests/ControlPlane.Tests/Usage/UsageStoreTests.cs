using System.Diagnostics;
using System.Globalization;
using NetKernel.ControlPlane.Store;
using NetKernel.ControlPlane.Usage;
using static NetKernel.ControlPlane.Tests.Usage.Readings;

namespace NetKernel.ControlPlane.Tests.Usage;

/// <summary>The history in SQLite.</summary>
public sealed class UsageStoreTests : IDisposable
{
    private static readonly DateTimeOffset Noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly UsageKey Web = new("acme", "web", "kernel0"), Db = new("beta", "db", "mtcp0");

    private readonly string _folder = Directory.CreateTempSubdirectory("nk-usage").FullName;

    private string File => Path.Combine(_folder, "usage.db");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The process that is killed: "usage-writer FOLDER". It is an engine, whose counter is a file, and its meter.</summary>
    internal static int Writer(string folder)
    {
        using SqliteUsageStore store = SqliteUsageStore.Open(Path.Combine(folder, "usage.db"), Retention.Default);
        using Stream output = Console.OpenStandardOutput();
        Reading? before = store.Baseline();
        while (true)
        {
            Counter(folder, Counter(folder) + 7);
            Reading now = Of().With(1, "web", 5, sent: Counter(folder));
            store.Add(DateTimeOffset.UtcNow, now.Since(before), now);
            before = now;
            output.Write([(byte)'.']);
        }
    }

    [Fact]
    public void Every_level_holds_all_of_it()
    {
        using SqliteUsageStore store = Open();
        for (int i = 0; i < 720; i++)
        {
            store.Add(Noon.AddSeconds(i * 10), Used((Web, 100), (Db, i)), Of());
        }

        foreach (UsageLevel level in store.Levels)
        {
            IReadOnlyList<UsagePoint> all = store.Query(level, Noon, Noon.AddHours(2), TimeSpan.FromHours(2), new(), new(true, false, false), 10);
            Assert.Equal([("acme", 72000L), ("beta", 720 * 719 / 2L)], all.Select(point => (point.Key.Tenant, point.Amounts[Amount.BytesSent])));
            Assert.Equal(7200 / level.Seconds * 2, store.Query(level, Noon, Noon.AddHours(2), TimeSpan.FromSeconds(level.Seconds), new(), new(true, true, true), 9999).Count);
        }

        Assert.Equal([72000L, 720 * 719 / 2L], store.Totals().Select(total => total.Amounts[Amount.BytesSent]));
    }

    [Fact]
    public void Times_tenants_guests_and_nsms_are_told_apart()
    {
        using SqliteUsageStore store = Open();
        store.Add(Noon, Used((Web, 1), (Db, 2)), Of());
        store.Add(Noon.AddSeconds(10), Used((Web, 4)), Of());
        UsageLevel fine = store.Levels[0];
        TimeSpan ten = TimeSpan.FromSeconds(10);
        Assert.Equal([1, 4], Sums(store.Query(fine, Noon, Noon.AddMinutes(1), ten, new(Tenant: "acme"), new(true, false, false), 9)));
        Assert.Equal([2], Sums(store.Query(fine, Noon, Noon.AddMinutes(1), ten, new(Guest: "db"), new(true, true, false), 9)));
        Assert.Equal([2], Sums(store.Query(fine, Noon, Noon.AddMinutes(1), ten, new(Nsm: "mtcp0"), new(false, false, true), 9)));
        Assert.Equal([4], Sums(store.Query(fine, Noon.AddSeconds(10), Noon.AddMinutes(1), ten, new(), new(true, false, false), 9)));
        Assert.Empty(store.Query(fine, Noon, Noon.AddMinutes(1), ten, new(Tenant: "nobody"), new(true, false, false), 9));
    }

    [Fact]
    public void What_has_been_kept_long_enough_goes_and_the_file_does_not_grow_with_time()
    {
        using SqliteUsageStore store = Open("1h,2h,1d");
        long size = 0;
        for (int hour = 0; hour < 36; hour++)
        {
            for (int i = 0; i < 30; i++)
            {
                store.Add(Noon.AddHours(hour).AddMinutes(2 * i), Used((Web, 1), (Db, 1)), Of());
            }

            store.Trim(Noon.AddHours(hour + 1));
            if (hour == 25)
            {
                size = new FileInfo(File).Length;
            }
        }

        DateTimeOffset end = Noon.AddHours(36);
        Assert.Equal([30, 60, 24 * 30], store.Levels.Select(level => Sums(store.Query(level, Noon, end, TimeSpan.FromDays(9), new(Tenant: "acme"), new(true, false, false), 9)).Single()));
        Assert.True(new FileInfo(File).Length <= size * 3 / 2, "the file grew from day to day");

        store.Trim(end.AddDays(2));
        Assert.Empty(store.Totals());
        store.Add(end, Used((Web, 5)), Of());
        Assert.Equal([5L], store.Totals().Select(total => total.Amounts[Amount.BytesSent]));
    }

    [Fact]
    public void A_reading_comes_back_as_it_was()
    {
        Reading reading = Of(7, 123, 45, 6).With(3, "web", 5, sent: 1000, nqes: 10, nsm: Shared).With(4, "db", 6, sent: 2, tenant: "beta")
            .WithNsm(Kernel, 99, 201, 8, (3, new Channel.GuestMeasures { Since = 1, Retransmits = 2, RttMicroseconds = 3, RttSamples = 4 }));
        using (SqliteUsageStore store = Open())
        {
            Assert.Null(store.Baseline());
            store.Add(Noon, Used(), Of().With(9, "old", 1, 1));
            store.Add(Noon, Used(), reading);
        }

        using SqliteUsageStore again = Open();
        Assert.Equal(ReadingBlobs.Of(reading).OrderBy(one => one.Key), ReadingBlobs.Of(again.Baseline()!).OrderBy(one => one.Key));
        Assert.Empty(reading.Since(again.Baseline()));
    }

    [Fact]
    public void A_file_of_a_newer_version_or_in_use_is_refused()
    {
        using (SqliteUsageStore first = Open())
        {
            Assert.Throws<StoreException>(() => Open());
        }

        using (var connection = new Microsoft.Data.Sqlite.SqliteConnection($"Data Source={File};Pooling=False"))
        {
            connection.Open();
            using Microsoft.Data.Sqlite.SqliteCommand command = connection.CreateCommand();
            command.CommandText = "PRAGMA user_version = 99";
            _ = command.ExecuteNonQuery();
        }

        Assert.Contains("newer NetKernel", Assert.Throws<StoreException>(() => Open()).Message);
    }

    [Fact]
    [Trait("Category", "Fault")]
    public async Task Kill_9_neither_loses_nor_counts_twice()
    {
        Open().Dispose();
        Counter(_folder, 0);
        var moments = new Random();
        for (int kill = 0; kill < 6; kill++)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
            foreach (string word in new[] { "exec", typeof(UsageStoreTests).Assembly.Location, "usage-writer", _folder })
            {
                start.ArgumentList.Add(word);
            }

            using Process writer = Process.Start(start)!;
            byte[] buffer = new byte[1];
            for (int wanted = 1 + moments.Next(40); wanted > 0; wanted--)
            {
                Assert.Equal(1, await writer.StandardOutput.BaseStream.ReadAsync(buffer));
            }

            writer.Kill();
            await writer.WaitForExitAsync();
        }

        using SqliteUsageStore store = Open();
        Reading now = Of().With(1, "web", 5, sent: Counter(_folder));
        store.Add(DateTimeOffset.UtcNow, now.Since(store.Baseline()), now);
        long truth = (long)Counter(_folder);
        Assert.True(truth > 0);
        Assert.Equal(truth, store.Totals().Sum(total => total.Amounts[Amount.BytesSent]));
        DateTimeOffset end = DateTimeOffset.UtcNow.AddHours(1);
        Assert.All(store.Levels, level => Assert.Equal(truth, Sums(store.Query(level, end.AddDays(-1), end, TimeSpan.FromDays(2), new(), new(true, false, false), 9)).Single()));
    }

    [Theory]
    [InlineData("2h,7d,400d", true)]
    [InlineData("30m,30m,30m", true)]
    [InlineData("2h,1h,400d", false)]
    [InlineData("2h,7d", false)]
    [InlineData("2h,7d,0d", false)]
    [InlineData("2x,7d,400d", false)]
    [InlineData("", false)]
    public void Retention_is_three_times(string text, bool valid) => Assert.Equal(valid, Retention.TryParse(text) is not null);

    private static ulong Counter(string folder) => ulong.Parse(System.IO.File.ReadAllText(Path.Combine(folder, "counter")), CultureInfo.InvariantCulture);

    private static void Counter(string folder, ulong value)
    {
        string path = Path.Combine(folder, "counter");
        System.IO.File.WriteAllText(path + ".new", value.ToString(CultureInfo.InvariantCulture));
        System.IO.File.Move(path + ".new", path, overwrite: true);
    }

    private static long[] Sums(IEnumerable<UsagePoint> points) => [.. points.Select(point => point.Amounts[Amount.BytesSent])];

    private static Dictionary<UsageKey, Amounts> Used(params (UsageKey Key, long Sent)[] used) => used.ToDictionary(one => one.Key, one =>
    {
        var amounts = new Amounts();
        amounts[Amount.BytesSent] = one.Sent;
        return amounts;
    });

    private SqliteUsageStore Open(string retention = "2h,7d,400d") => SqliteUsageStore.Open(File, Retention.TryParse(retention)!);
}
