using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace NetKernel.ControlPlane.Store;

/// <summary>
/// The store in one SQLite file, for one nkd. Write-ahead log with synchronous=FULL: the commit that is acknowledged has been synced. One connection,
/// one lock; a range and its revision, and a transaction's conditions and writes, are each read under it.
/// </summary>
internal sealed class SqliteStore : IStore
{
    /// <summary>So many of the last revisions are kept for watchers.</summary>
    public const long DefaultHistory = 10_000;

    private const int WatchChunk = 512;

    private readonly Lock _sync = new();
    private readonly SqliteConnection _connection;
    private readonly SqliteStatements _statements;
    private readonly long _history;
    private long _revision;
    private long _compacted;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _disposed;

    static SqliteStore() => Batteries_V2.Init();

    private SqliteStore(SqliteConnection connection, long history)
    {
        _connection = connection;
        _history = history;
        _statements = new SqliteStatements(connection);
        _revision = _statements.Counter("revision");
        _compacted = _statements.Counter("compacted");
    }

    /// <summary>Opens or makes the file, readable by its owner only. Throws <see cref="StoreException"/> when it is damaged, newer, or in use.</summary>
    public static SqliteStore Open(string path, long history = DefaultHistory)
    {
        SqliteConnection? connection = null;
        try
        {
            connection = SqliteFile.Connect(path);
            connection.Open();
            using SqliteCommand command = connection.CreateCommand();

            // Exclusive: a second nkd on the same file is refused at once, and SQLite needs no shared memory file.
            command.CommandText = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA quick_check(1)";
            using (SqliteDataReader reader = command.ExecuteReader())
            {
                string answer = "";
                do
                {
                    while (reader.Read())
                    {
                        answer = reader.GetString(0);
                    }
                }
                while (reader.NextResult());
                if (answer != "ok")
                {
                    throw new StoreException($"{path} is damaged ({answer}): restore it from a copy, or move it away to start with nothing declared");
                }
            }

            Migrations.Apply(connection, path);
            return new SqliteStore(connection, history);
        }
        catch (Exception e) when (e is SqliteException or IOException or UnauthorizedAccessException)
        {
            connection?.Dispose();
            throw new StoreException(
                e is SqliteException { SqliteErrorCode: raw.SQLITE_BUSY } ? $"{path} is in use by another nkd: end that first, or name another --state-dir"
                : e is SqliteException { SqliteErrorCode: raw.SQLITE_NOTADB or raw.SQLITE_CORRUPT }
                ? $"{path} is damaged ({e.Message}): restore it from a copy, or move it away to start with nothing declared"
                : $"cannot open {path}: {e.Message}",
                e);
        }
        catch (StoreException)
        {
            connection?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public ValueTask<long> RevisionAsync(CancellationToken stop = default)
    {
        lock (_sync)
        {
            return ValueTask.FromResult(_revision);
        }
    }

    /// <inheritdoc/>
    public ValueTask<RangeResult> RangeAsync(KeyRange range, int limit = 0, bool descending = false, CancellationToken stop = default)
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            List<KeyValue> items = _statements.Range(range, limit == 0 ? -1 : limit + 1L, descending);
            bool more = limit > 0 && items.Count > limit;
            return ValueTask.FromResult(new RangeResult(_revision, more ? items[..limit] : items, more));
        }
    }

    /// <inheritdoc/>
    public ValueTask<TransactionResult> CommitAsync(Transaction transaction, CancellationToken stop = default)
    {
        transaction.Check();
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            KeyValue?[] compared = [.. transaction.When.Select(compare => _statements.Get(compare.Key))];
            bool holds = transaction.When.Zip(compared).All(pair => pair.First.Holds(pair.Second));
            IReadOnlyList<Write> writes = holds ? transaction.Then : transaction.Otherwise;
            if (writes.Count > 0)
            {
                Do(writes);
            }

            return ValueTask.FromResult(new TransactionResult(holds, _revision, compared));
        }
    }

    /// <inheritdoc/>
    public async IAsyncEnumerable<IReadOnlyList<StoreEvent>> WatchAsync(KeyRange range, long after, [EnumeratorCancellation] CancellationToken stop = default)
    {
        while (true)
        {
            List<StoreEvent> events;
            Task changed;
            lock (_sync)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                if (after < _compacted)
                {
                    throw new CompactedException(_compacted);
                }

                changed = _changed.Task;
                (events, after) = _statements.Events(after, _revision, WatchChunk);
            }

            bool any = false;
            foreach (IGrouping<long, StoreEvent> revision in events.Where(one => range.Contains(one.Key)).GroupBy(one => one.Revision))
            {
                any = true;
                yield return [.. revision];
            }

            if (!any && events.Count == 0)
            {
                await changed.WaitAsync(stop);
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask CompactAsync(long revision, CancellationToken stop = default)
    {
        lock (_sync)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Compact(Math.Min(revision, _revision));
            return ValueTask.CompletedTask;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_sync)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _changed.TrySetResult();
            _statements.Dispose();
            _connection.Dispose();
        }
    }

    private void Do(IReadOnlyList<Write> writes)
    {
        long revision = _revision + 1;
        using (Batch batch = Begin())
        {
            int sequence = 0;
            foreach (Write write in writes)
            {
                KeyValue? before = _statements.Get(write.Key);
                if (before is null && write.Value is null)
                {
                    continue; // nothing to delete
                }

                KeyValue? now = write.Value is null ? null : new KeyValue(write.Key, write.Value, before?.CreateRevision ?? revision, revision, (before?.Version ?? 0) + 1);
                _statements.Set(write.Key, now);
                _statements.Log(new StoreEvent(write.Key, now, before, revision), sequence++);
            }

            if (sequence == 0)
            {
                return;
            }

            _statements.SetCounter("revision", revision);
            batch.Commit();
        }

        _revision = revision;
        if (_revision - _compacted > _history + (_history / 4))
        {
            Compact(_revision - _history);
        }

        TaskCompletionSource changed = _changed;
        _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        changed.SetResult();
    }

    private void Compact(long revision)
    {
        if (revision <= _compacted)
        {
            return;
        }

        using Batch batch = Begin();
        _statements.Forget(revision);
        _statements.SetCounter("compacted", revision);
        batch.Commit();
        _compacted = revision;
    }

    private Batch Begin() => new(_connection, _statements);

    /// <summary>A transaction of the database; without a commit it is as if nothing had been.</summary>
    private sealed class Batch : IDisposable
    {
        private readonly SqliteStatements _statements;
        private readonly SqliteTransaction _transaction;

        public Batch(SqliteConnection connection, SqliteStatements statements)
        {
            _statements = statements;
            _transaction = connection.BeginTransaction();
            _statements.Transaction = _transaction;
        }

        public void Commit() => _transaction.Commit();

        public void Dispose()
        {
            _statements.Transaction = null;
            _transaction.Dispose();
        }
    }
}
