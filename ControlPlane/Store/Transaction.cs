namespace NetKernel.ControlPlane.Store;

/// <summary>What of a key is compared. A key that is not there has 0 everywhere.</summary>
internal enum CompareTarget
{
    Version,
    CreateRevision,
    ModRevision,
}

/// <summary>How it is compared.</summary>
internal enum CompareResult
{
    Equal,
    Greater,
    Less,
}

/// <summary>A condition of a transaction.</summary>
internal sealed record Compare(string Key, CompareTarget Target, CompareResult Result, long Number)
{
    /// <summary>The key is not there.</summary>
    public static Compare Absent(string key) => new(key, CompareTarget.ModRevision, CompareResult.Equal, 0);

    /// <summary>The key is there.</summary>
    public static Compare Present(string key) => new(key, CompareTarget.ModRevision, CompareResult.Greater, 0);

    /// <summary>Nobody has changed the key since that revision.</summary>
    public static Compare Unchanged(string key, long modRevision) => new(key, CompareTarget.ModRevision, CompareResult.Equal, modRevision);

    public bool Holds(KeyValue? current)
    {
        long number = current is null ? 0 : Target switch
        {
            CompareTarget.Version => current.Version,
            CompareTarget.CreateRevision => current.CreateRevision,
            _ => current.ModRevision,
        };
        return Result switch
        {
            CompareResult.Equal => number == Number,
            CompareResult.Greater => number > Number,
            _ => number < Number,
        };
    }
}

/// <summary>A write: a new value, or with null the key's end.</summary>
internal sealed record Write(string Key, byte[]? Value)
{
    public static Write Put(string key, byte[] value) => new(key, value);

    public static Write Delete(string key) => new(key, null);
}

/// <summary>When all conditions hold, all writes of Then are done, else all of Otherwise. No key may be written twice in one of them.</summary>
internal sealed record Transaction(IReadOnlyList<Compare> When, IReadOnlyList<Write> Then, IReadOnlyList<Write> Otherwise)
{
    public Transaction(IReadOnlyList<Compare> when, params IReadOnlyList<Write> then)
        : this(when, then, [])
    {
    }

    /// <summary>Throws when it is none.</summary>
    public void Check()
    {
        foreach (IReadOnlyList<Write> writes in new[] { Then, Otherwise })
        {
            var seen = new HashSet<string>();
            foreach (Write write in writes)
            {
                KeyRange.CheckKey(write.Key);
                if (!seen.Add(write.Key))
                {
                    throw new ArgumentException($"key {write.Key} is written twice in one transaction");
                }
            }
        }
    }
}

/// <summary>Whether the conditions held, the revision afterwards, and the compared keys as they were before, in the order of the conditions.</summary>
internal sealed record TransactionResult(bool Succeeded, long Revision, IReadOnlyList<KeyValue?> Compared);
