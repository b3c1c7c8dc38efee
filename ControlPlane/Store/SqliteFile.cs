using System.Globalization;
using Microsoft.Data.Sqlite;

namespace NetKernel.ControlPlane.Store;

/// <summary>What every SQLite file of nkd shares: how it is opened, and commands that are prepared once.</summary>
/// <param name="connection">The open connection, which stays its owner's.</param>
internal sealed class SqliteFile(SqliteConnection connection) : IDisposable
{
    private readonly Dictionary<string, SqliteCommand> _prepared = [];

    /// <summary>The open transaction, which the owner sets; null: each statement is its own.</summary>
    public SqliteTransaction? Transaction { get; set; }

    /// <summary>A connection, not open yet, to a file that is made if it is missing, readable by its owner only.</summary>
    public static SqliteConnection Connect(string path)
    {
        if (!File.Exists(path))
        {
            new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.Write,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            }).Dispose();
        }

        return new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false, DefaultTimeout = 1 }.ToString());
    }

    /// <summary>A statement with its values as $1, $2, ...; valid until the next call with the same text.</summary>
    public SqliteCommand Command(string sql, params object?[] values)
    {
        if (!_prepared.TryGetValue(sql, out SqliteCommand? command))
        {
            command = connection.CreateCommand();
            command.CommandText = sql;
            for (int i = 1; i <= values.Length; i++)
            {
                _ = command.Parameters.AddWithValue(string.Create(CultureInfo.InvariantCulture, $"${i}"), DBNull.Value);
            }

            _prepared.Add(sql, command);
        }

        // Microsoft.Data.Sqlite wants a command to name the connection's open transaction.
        command.Transaction = Transaction;
        for (int i = 0; i < values.Length; i++)
        {
            command.Parameters[i].Value = values[i] ?? DBNull.Value;
        }

        return command;
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in _prepared.Values)
        {
            command.Dispose();
        }
    }
}
