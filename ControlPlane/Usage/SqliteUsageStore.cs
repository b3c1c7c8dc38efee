using System.Globalization;
using Microsoft.Data.Sqlite;
using NetKernel.ControlPlane.Store;
using SQLitePCL;

namespace NetKernel.ControlPlane.Usage;

/// <summary>
/// The history in a SQLite file of its own. Each reading is one transaction that adds to one bucket of every level, so there is no rolling up afterwards that could be
/// done twice or not at all. Write-ahead log with synchronous=NORMAL: a killed nkd loses nothing; a machine that loses power may lose the last readings, never half of one.
/// </summary>
internal sealed class SqliteUsageStore : IUsageStore
{
    private const long SchemaVersion = 1;
    private const int TotalLevel = 0;

    private static readonly string[] Columns = [.. Enum.GetNames<Amount>()];

    private readonly Lock _sync = new();
    private readonly SqliteConnection _connection;
    private readonly SqliteFile _file;
    private readonly Dictionary<UsageKey, long> _series = [];
    private Dictionary<string, byte[]> _baseline = [];
    private bool _disposed;

    static SqliteUsageStore() => Batteries_V2.Init();

    private SqliteUsageStore(SqliteConnection connection, IReadOnlyList<UsageLevel> levels)
    {
        _connection = connection;
        _file = new SqliteFile(connection);
        Levels = levels;
    }

    public IReadOnlyList<UsageLevel> Levels { get; }

    /// <summary>Opens or makes the file, readable by its owner only. Throws <see cref="StoreException"/> when it is damaged, newer, or in use.</summary>
    public static SqliteUsageStore Open(string path, IReadOnlyList<UsageLevel> levels)
    {
        SqliteConnection? connection = null;
        try
        {
            connection = SqliteFile.Connect(path);
            connection.Open();
            var store = new SqliteUsageStore(connection, levels);
            _ = store.Scalar("PRAGMA locking_mode=EXCLUSIVE");
            _ = store.Scalar("PRAGMA journal_mode=WAL");
            _ = store.Scalar("PRAGMA synchronous=NORMAL");
            store.Make(path);
            store.Load();
            return store;
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            connection?.Dispose();
            throw new StoreException($"cannot use {path}: {e.Message.TrimEnd('.')}; move it away to begin a new history of usage", e);
        }
        catch
        {
            connection?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public Reading? Baseline()
    {
        lock (_sync)
        {
            return ReadingBlobs.Parse(_baseline);
        }
    }

    /// <inheritdoc/>
    public void Add(DateTimeOffset time, IReadOnlyDictionary<UsageKey, Amounts> amounts, Reading reading)
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            long seconds = time.ToUnixTimeSeconds();
            Dictionary<string, byte[]> blobs = ReadingBlobs.Of(reading);
            var made = new List<UsageKey>();
            using (SqliteTransaction transaction = _file.Transaction = _connection.BeginTransaction())
            {
                try
                {
                    foreach ((UsageKey key, Amounts of) in amounts)
                    {
                        long series = SeriesOf(key, seconds, made);
                        foreach (int level in Levels.Select(level => level.Seconds).Prepend(TotalLevel))
                        {
                            Put(level, level == TotalLevel ? 0 : seconds - (seconds % level), series, of);
                        }
                    }

                    foreach ((string key, byte[] blob) in blobs)
                    {
                        if (!_baseline.TryGetValue(key, out byte[]? old) || !old.AsSpan().SequenceEqual(blob))
                        {
                            _ = Command("INSERT OR REPLACE INTO baseline VALUES ($1, $2)", key, blob).ExecuteNonQuery();
                        }
                    }

                    foreach (string key in _baseline.Keys.Where(key => !blobs.ContainsKey(key)))
                    {
                        _ = Command("DELETE FROM baseline WHERE key = $1", key).ExecuteNonQuery();
                    }

                    transaction.Commit();
                    _baseline = blobs;
                }
                catch
                {
                    made.ForEach(key => _series.Remove(key));
                    throw;
                }
                finally
                {
                    _file.Transaction = null;
                }
            }
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<UsageTotal> Totals()
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var totals = new List<UsageTotal>();
            using SqliteDataReader reader = Command(
                $"SELECT tenant, guest, nsm, first, last, {string.Join(", ", Columns)} FROM amount JOIN series ON series.id = amount.series WHERE level = $1", TotalLevel).ExecuteReader();
            while (reader.Read())
            {
                totals.Add(new UsageTotal(
                    new UsageKey(reader.GetString(0), reader.GetString(1), reader.GetString(2)), Time(reader.GetInt64(3)), Time(reader.GetInt64(4)), ReadAmounts(reader, 5)));
            }

            return totals;
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<UsagePoint> Query(UsageLevel level, DateTimeOffset from, DateTimeOffset to, TimeSpan step, UsageFilter filter, UsageGrouping grouping, int most)
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            var points = new List<UsagePoint>();
            string Name(bool wanted, string column) => wanted ? column : "''";
            using SqliteDataReader reader = Command(
                $"SELECT {Name(grouping.Tenant, "tenant")}, {Name(grouping.Guest, "guest")}, {Name(grouping.Nsm, "nsm")}, (time - $2) / $4 AS bucket, "
                + string.Join(", ", Columns.Select(column => $"sum({column})"))
                + " FROM amount JOIN series ON series.id = amount.series WHERE level = $1 AND time >= $2 AND time < $3"
                + " AND ($5 IS NULL OR tenant = $5) AND ($6 IS NULL OR guest = $6) AND ($7 IS NULL OR nsm = $7) GROUP BY 1, 2, 3, 4 ORDER BY 4, 1, 2, 3 LIMIT $8",
                level.Seconds, from.ToUnixTimeSeconds(), to.ToUnixTimeSeconds(), (long)step.TotalSeconds, filter.Tenant, filter.Guest, filter.Nsm, most).ExecuteReader();
            while (reader.Read())
            {
                points.Add(new UsagePoint(
                    new UsageKey(reader.GetString(0), reader.GetString(1), reader.GetString(2)), from + (step * reader.GetInt64(3)), ReadAmounts(reader, 4)));
            }

            return points;
        }
    }

    /// <inheritdoc/>
    public void Trim(DateTimeOffset now)
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            foreach (UsageLevel level in Levels)
            {
                _ = Command("DELETE FROM amount WHERE level = $1 AND time < $2", level.Seconds, (now - level.Keep).ToUnixTimeSeconds()).ExecuteNonQuery();
            }

            // Of whom nothing is left, the total goes, too.
            long oldest = (now - Levels.Max(level => level.Keep)).ToUnixTimeSeconds();
            _ = Command("DELETE FROM amount WHERE level = $1 AND series IN (SELECT id FROM series WHERE last < $2)", TotalLevel, oldest).ExecuteNonQuery();
            if (Command("DELETE FROM series WHERE last < $1", oldest).ExecuteNonQuery() > 0)
            {
                LoadSeries();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_sync)
        {
            if (!_disposed)
            {
                _disposed = true;
                _file.Dispose();
                _connection.Dispose();
            }
        }
    }

    private static DateTimeOffset Time(long seconds) => DateTimeOffset.FromUnixTimeSeconds(seconds);

    private static Amounts ReadAmounts(SqliteDataReader reader, int first)
    {
        var amounts = new Amounts();
        for (int i = 0; i < Amounts.Count; i++)
        {
            amounts[(Amount)i] = reader.GetInt64(first + i);
        }

        return amounts;
    }

    private void Make(string path)
    {
        long version = Convert.ToInt64(Scalar("PRAGMA user_version"), CultureInfo.InvariantCulture);
        if (version > SchemaVersion)
        {
            throw new StoreException($"{path} was written by a newer NetKernel: use that, or move it away to begin a new history of usage");
        }

        if (version == 0)
        {
            string columns = string.Join(", ", Columns.Select(column => column + " INTEGER NOT NULL"));
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = $"""
                BEGIN;
                CREATE TABLE series (id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, guest TEXT NOT NULL, nsm TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                                     UNIQUE (tenant, guest, nsm));
                CREATE TABLE amount (level INTEGER NOT NULL, time INTEGER NOT NULL, series INTEGER NOT NULL, {columns}, PRIMARY KEY (level, time, series)) WITHOUT ROWID;
                CREATE TABLE baseline (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
                PRAGMA user_version = {SchemaVersion};
                COMMIT;
                """;
            _ = command.ExecuteNonQuery();
        }
    }

    private void Load()
    {
        LoadSeries();
        using SqliteDataReader blobs = Command("SELECT key, value FROM baseline").ExecuteReader();
        while (blobs.Read())
        {
            _baseline.Add(blobs.GetString(0), (byte[])blobs.GetValue(1));
        }
    }

    private void LoadSeries()
    {
        _series.Clear();
        using SqliteDataReader reader = Command("SELECT id, tenant, guest, nsm FROM series").ExecuteReader();
        while (reader.Read())
        {
            _series.Add(new UsageKey(reader.GetString(1), reader.GetString(2), reader.GetString(3)), reader.GetInt64(0));
        }
    }

    private long SeriesOf(UsageKey key, long seconds, List<UsageKey> made)
    {
        if (_series.TryGetValue(key, out long id))
        {
            _ = Command("UPDATE series SET last = max(last, $2) WHERE id = $1", id, seconds).ExecuteNonQuery();
            return id;
        }

        _ = Command("INSERT INTO series (tenant, guest, nsm, first, last) VALUES ($1, $2, $3, $4, $4)", key.Tenant, key.Guest, key.Nsm, seconds).ExecuteNonQuery();
        id = Convert.ToInt64(Command("SELECT last_insert_rowid()").ExecuteScalar(), CultureInfo.InvariantCulture);
        _series.Add(key, id);
        made.Add(key);
        return id;
    }

    private void Put(int level, long time, long series, Amounts amounts)
    {
        object?[] values = new object?[3 + Amounts.Count];
        (values[0], values[1], values[2]) = (level, time, series);
        for (int i = 0; i < Amounts.Count; i++)
        {
            values[3 + i] = amounts[(Amount)i];
        }

        _ = Command(PutText, values).ExecuteNonQuery();
    }

    private static readonly string PutText =
        $"INSERT INTO amount (level, time, series, {string.Join(", ", Columns)}) VALUES ({string.Join(", ", Enumerable.Range(1, 3 + Columns.Length).Select(i => "$" + i.ToString(CultureInfo.InvariantCulture)))}) "
        + $"ON CONFLICT DO UPDATE SET {string.Join(", ", Columns.Select(column => $"{column} = {column} + excluded.{column}"))}";

    private object? Scalar(string sql)
    {
        using SqliteCommand command = _connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private SqliteCommand Command(string sql, params object?[] values) => _file.Command(sql, values);
}
