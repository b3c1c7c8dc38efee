using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Data.Sqlite;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Tests.Store;

/// <summary>The SQLite store against the model, and what a file can be like.</summary>
public sealed class StoreTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nk-store").FullName;

    private string FilePath => Path.Combine(_folder, "state.db");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void It_does_what_the_model_does()
    {
        int run = 0;
        Prop.ForAll<int>(seed =>
        {
            string path = Path.Combine(_folder, $"{run++}.db");
            var random = new Random(seed);
            var model = new StoreModel();
            SqliteStore store = SqliteStore.Open(path);
            try
            {
                for (int step = 0; step < 60; step++)
                {
                    if (random.Next(20) == 0)
                    {
                        store.Dispose();
                        store = SqliteStore.Open(path);
                    }

                    Transaction transaction = RandomTransactions.Next(random, model.Get, model.Revision);
                    string[] compared = [.. transaction.When.Select(one => StoreModel.Show(model.Get(one.Key)))];
                    TransactionResult result = store.CommitAsync(transaction).AsTask().Result;
                    Assert.Equal(model.Commit(transaction), result.Succeeded);
                    Assert.Equal(model.Revision, result.Revision);
                    Assert.Equal(compared, result.Compared.Select(StoreModel.Show));
                    KeyRange range = RandomTransactions.Range(random);
                    RangeResult all = store.RangeAsync(range).AsTask().Result;
                    Assert.Equal(model.Revision, all.Revision);
                    Assert.Equal(model.Range(range).Select(StoreModel.Show), all.Items.Select(StoreModel.Show));
                    RangeResult first = store.RangeAsync(range, limit: 2).AsTask().Result;
                    Assert.Equal(all.Items.Take(2).Select(StoreModel.Show), first.Items.Select(StoreModel.Show));
                    Assert.Equal(all.Items.Count > 2, first.More);
                    RangeResult last = store.RangeAsync(range, limit: 3, descending: true).AsTask().Result;
                    Assert.Equal(all.Items.Reverse().Take(3).Select(StoreModel.Show), last.Items.Select(StoreModel.Show));
                }

                long after = random.NextInt64(model.Revision + 1);
                KeyRange watched = RandomTransactions.Range(random);
                string[] expected = [.. model.Events.Where(one => one.Revision > after && watched.Contains(one.Key)).Select(StoreModel.Show)];
                Assert.Equal(expected, Take(store, watched, after, expected.Length).Select(StoreModel.Show));
            }
            finally
            {
                store.Dispose();
                File.Delete(path);
            }
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(25));
    }

    [Fact]
    public async Task A_watch_gets_what_comes_and_whole_transactions()
    {
        using SqliteStore store = SqliteStore.Open(FilePath);
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        await using IAsyncEnumerator<IReadOnlyList<StoreEvent>> watch = store.WatchAsync(KeyRange.Prefix("/g/"), 0, stop.Token).GetAsyncEnumerator();
        ValueTask<bool> next = watch.MoveNextAsync();
        Assert.False(next.IsCompleted);
        _ = await store.CommitAsync(new Transaction([], Write.Put("/other", [])));
        _ = await store.CommitAsync(new Transaction([], Write.Put("/g/1", [1]), Write.Put("/g/2", [2])));
        Assert.True(await next);
        Assert.Equal(["/g/1", "/g/2"], watch.Current.Select(one => one.Key));
        Assert.All(watch.Current, one => Assert.Equal(2, one.Revision));
    }

    [Fact]
    public async Task Changes_that_are_compacted_are_refused_and_the_keys_stay()
    {
        using SqliteStore store = SqliteStore.Open(FilePath, history: 8);
        for (int i = 0; i < 40; i++)
        {
            _ = await store.CommitAsync(new Transaction([], Write.Put($"/{i}", [])));
        }

        CompactedException gone = Assert.Throws<CompactedException>(() => Take(store, KeyRange.Prefix("/"), 0, 1));
        Assert.InRange(gone.Compacted, 28, 32);
        Assert.Equal(40 - (int)gone.Compacted, Take(store, KeyRange.Prefix("/"), gone.Compacted, 40 - (int)gone.Compacted).Count);
        Assert.Equal(40, (await store.RangeAsync(KeyRange.Prefix("/"))).Items.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("/\u00e9")]
    public async Task Keys_are_printable_ascii(string key)
    {
        using SqliteStore store = SqliteStore.Open(FilePath);
        _ = await Assert.ThrowsAsync<ArgumentException>(async () => await store.CommitAsync(new Transaction([], Write.Put(key, []))));
    }

    [Fact]
    public void A_second_user_of_the_file_is_refused()
    {
        using SqliteStore store = SqliteStore.Open(FilePath);
        Assert.Contains("in use by another nkd", Assert.Throws<StoreException>(() => SqliteStore.Open(FilePath)).Message);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(FilePath));
    }

    [Fact]
    public void A_damaged_file_is_refused_with_what_to_do()
    {
        File.WriteAllText(FilePath, new string('x', 5000));
        Assert.Contains("restore it from a copy", Assert.Throws<StoreException>(() => SqliteStore.Open(FilePath)).Message);
    }

    [Fact]
    public void A_newer_schema_is_refused_and_left_alone()
    {
        SqliteStore.Open(FilePath).Dispose();
        using (SqliteConnection connection = Connect())
        {
            Run(connection, "INSERT INTO schema_version VALUES (99, 'then')");
        }

        Assert.Contains("schema version 99", Assert.Throws<StoreException>(() => SqliteStore.Open(FilePath)).Message);
    }

    [Fact]
    public async Task A_migration_keeps_the_data_and_lays_a_copy_beside()
    {
        using (SqliteStore store = SqliteStore.Open(FilePath))
        {
            _ = await store.CommitAsync(new Transaction([], Write.Put("/k", Encoding.UTF8.GetBytes("kept"))));
        }

        using (SqliteConnection connection = Connect())
        {
            string[] steps = [.. Enumerable.Repeat("SELECT 1", Migrations.Newest), "ALTER TABLE kv ADD COLUMN extra TEXT"];
            Migrations.Apply(connection, FilePath, steps);
            Assert.Equal(Migrations.Newest + 1, Migrations.Version(connection));

            // A step that fails changes nothing, not even the first half of it.
            _ = Assert.Throws<SqliteException>(() => Migrations.Apply(connection, FilePath, [.. steps, "ALTER TABLE kv ADD COLUMN half TEXT; nonsense"]));
            Assert.Equal(Migrations.Newest + 1, Migrations.Version(connection));
            _ = Assert.Throws<SqliteException>(() => Run(connection, "SELECT half FROM kv"));
            Run(connection, "SELECT extra FROM kv WHERE value = CAST('kept' AS BLOB)");
        }

        Assert.True(File.Exists($"{FilePath}.v{Migrations.Newest}"));
    }

    private static List<StoreEvent> Take(SqliteStore store, KeyRange range, long after, int count)
    {
        return Task.Run(async () =>
        {
            var found = new List<StoreEvent>();
            using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(20));
            if (count > 0)
            {
                await foreach (IReadOnlyList<StoreEvent> events in store.WatchAsync(range, after, stop.Token))
                {
                    found.AddRange(events);
                    if (found.Count >= count)
                    {
                        break;
                    }
                }
            }

            return found;
        }).GetAwaiter().GetResult();
    }

    private SqliteConnection Connect()
    {
        var connection = new SqliteConnection($"Data Source={FilePath};Pooling=False");
        connection.Open();
        return connection;
    }

    private static void Run(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        _ = command.ExecuteNonQuery();
    }
}
