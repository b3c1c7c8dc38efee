using System.Globalization;
using Microsoft.Data.Sqlite;

namespace NetKernel.ControlPlane.Store;

/// <summary>
/// The tables, step by step: the n-th step makes schema version n out of n-1, and never changes once it has been released. Each step and its entry in
/// schema_version are one transaction; before a file that has data is changed, a copy is laid beside it.
/// </summary>
internal static class Migrations
{
    private static readonly string[] Steps =
    [
        """
        CREATE TABLE kv (key TEXT PRIMARY KEY, value BLOB NOT NULL, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL,
                         version INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TABLE event (revision INTEGER NOT NULL, sequence INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, create_revision INTEGER, version INTEGER,
                            before BLOB, before_create INTEGER, before_mod INTEGER, before_version INTEGER,
                            PRIMARY KEY (revision, sequence)) WITHOUT ROWID;
        CREATE TABLE counter (name TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
        INSERT INTO counter VALUES ('revision', 0), ('compacted', 0);
        """,
    ];

    /// <summary>The schema version that this program reads and writes.</summary>
    public static int Newest => Steps.Length;

    /// <summary>Brings a database to the newest version. Throws <see cref="StoreException"/> when it comes from a newer program.</summary>
    public static void Apply(SqliteConnection connection, string path) => Apply(connection, path, Steps);

    internal static void Apply(SqliteConnection connection, string path, IReadOnlyList<string> steps)
    {
        Execute(connection, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied TEXT NOT NULL)");
        int version = Version(connection);
        if (version > steps.Count)
        {
            throw new StoreException(
                $"{path} has schema version {version}, and this nkd knows versions up to {steps.Count}: it was written by a newer NetKernel; use that, or the copy that "
                + "it laid beside the file when it changed it");
        }

        if (version > 0 && version < steps.Count)
        {
            string copy = $"{path}.v{version}";
            File.Delete(copy);
            Execute(connection, $"VACUUM INTO '{copy.Replace("'", "''", StringComparison.Ordinal)}'");
        }

        for (; version < steps.Count; version++)
        {
            using SqliteTransaction transaction = connection.BeginTransaction();
            Execute(connection, steps[version], transaction);
            Execute(
                connection,
                string.Create(CultureInfo.InvariantCulture, $"INSERT INTO schema_version VALUES ({version + 1}, '{DateTime.UtcNow:yyyy-MM-ddTHH:mm:ssZ}')"), transaction);
            transaction.Commit();
        }
    }

    internal static int Version(SqliteConnection connection)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT coalesce(max(version), 0) FROM schema_version";
        return Convert.ToInt32(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    private static void Execute(SqliteConnection connection, string sql, SqliteTransaction? transaction = null)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.Transaction = transaction;
        _ = command.ExecuteNonQuery();
    }
}
