using System.Globalization;
using Microsoft.Data.Sqlite;

namespace NetKernel.ControlPlane.Store;

/// <summary>The SQL of the store, prepared once. Used under the store's lock only.</summary>
internal sealed class SqliteStatements : IDisposable
{
    private const string Columns = "key, value, create_revision, mod_revision, version";

    private readonly SqliteFile _file;

    public SqliteStatements(SqliteConnection connection) => _file = new SqliteFile(connection);

    /// <inheritdoc cref="SqliteFile.Transaction"/>
    public SqliteTransaction? Transaction
    {
        get => _file.Transaction;
        set => _file.Transaction = value;
    }

    public KeyValue? Get(string key)
    {
        using SqliteDataReader reader = Command($"SELECT {Columns} FROM kv WHERE key = $1", key).ExecuteReader();
        return reader.Read() ? Read(reader) : null;
    }

    public List<KeyValue> Range(KeyRange range, long limit, bool descending)
    {
        using SqliteDataReader reader = Command(
            $"SELECT {Columns} FROM kv WHERE key >= $1 AND key < $2 ORDER BY key {(descending ? "DESC" : "ASC")} LIMIT $3", range.From, range.To, limit).ExecuteReader();
        var found = new List<KeyValue>();
        while (reader.Read())
        {
            found.Add(Read(reader));
        }

        return found;
    }

    public void Set(string key, KeyValue? value)
    {
        SqliteCommand command = value is null
            ? Command("DELETE FROM kv WHERE key = $1", key)
            : Command($"INSERT OR REPLACE INTO kv ({Columns}) VALUES ($1, $2, $3, $4, $5)", key, value.Value, value.CreateRevision, value.ModRevision, value.Version);
        _ = command.ExecuteNonQuery();
    }

    public void Log(StoreEvent e, int sequence) => _ = Command(
        "INSERT INTO event (revision, sequence, key, value, create_revision, version, before, before_create, before_mod, before_version) "
        + "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        e.Revision, sequence, e.Key, e.Value?.Value, e.Value?.CreateRevision, e.Value?.Version, e.Before?.Value, e.Before?.CreateRevision, e.Before?.ModRevision,
        e.Before?.Version).ExecuteNonQuery();

    /// <summary>Changes after a revision, whole revisions only; and the revision up to which that is everything.</summary>
    public (List<StoreEvent> Events, long Reached) Events(long after, long newest, int limit)
    {
        var found = new List<StoreEvent>();
        using SqliteDataReader reader = Command(
            "SELECT revision, key, value, create_revision, version, before, before_create, before_mod, before_version FROM event "
            + "WHERE revision > $1 ORDER BY revision, sequence", after).ExecuteReader();
        while (reader.Read())
        {
            long revision = reader.GetInt64(0);
            if (found.Count >= limit && revision != found[^1].Revision)
            {
                return (found, found[^1].Revision);
            }

            string key = reader.GetString(1);
            KeyValue? value = reader.IsDBNull(2) ? null : new KeyValue(key, Bytes(reader, 2), reader.GetInt64(3), revision, reader.GetInt64(4));
            KeyValue? before = reader.IsDBNull(5) ? null : new KeyValue(key, Bytes(reader, 5), reader.GetInt64(6), reader.GetInt64(7), reader.GetInt64(8));
            found.Add(new StoreEvent(key, value, before, revision));
        }

        return (found, newest);
    }

    public void Forget(long revision) => _ = Command("DELETE FROM event WHERE revision <= $1", revision).ExecuteNonQuery();

    public long Counter(string name) =>
        Convert.ToInt64(Command("SELECT number FROM counter WHERE name = $1", name).ExecuteScalar(), CultureInfo.InvariantCulture);

    public void SetCounter(string name, long number) => _ = Command("UPDATE counter SET number = $2 WHERE name = $1", name, number).ExecuteNonQuery();

    public void Dispose() => _file.Dispose();

    private static KeyValue Read(SqliteDataReader reader) => new(reader.GetString(0), Bytes(reader, 1), reader.GetInt64(2), reader.GetInt64(3), reader.GetInt64(4));

    private static byte[] Bytes(SqliteDataReader reader, int column) => (byte[])reader.GetValue(column);

    private SqliteCommand Command(string sql, params object?[] values) => _file.Command(sql, values);
}
