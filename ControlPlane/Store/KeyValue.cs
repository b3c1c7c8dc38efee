namespace NetKernel.ControlPlane.Store;

/// <summary>A key and what the store knows of it. Version counts the writes since it was made, from 1.</summary>
internal sealed record KeyValue(string Key, byte[] Value, long CreateRevision, long ModRevision, long Version);

/// <summary>Keys from <see cref="From"/> up to but without <see cref="To"/>, in the order of their bytes.</summary>
internal readonly record struct KeyRange(string From, string To)
{
    /// <summary>One key.</summary>
    public static KeyRange One(string key) => new(key, key + "\u0001");

    /// <summary>All keys that begin so.</summary>
    public static KeyRange Prefix(string prefix) =>
        prefix.Length == 0 ? new("", "\u007f") : new(prefix, prefix[..^1] + (char)(prefix[^1] + 1));

    /// <summary>The part of this range behind a key.</summary>
    public KeyRange After(string key) => new(key + "\u0001", To);

    public bool Contains(string key) => string.CompareOrdinal(key, From) >= 0 && string.CompareOrdinal(key, To) < 0;

    /// <summary>Throws unless a key is 1 to 512 printable ASCII characters: then the order of its bytes is the same everywhere.</summary>
    public static void CheckKey(string key)
    {
        if (key.Length is 0 or > 512 || key.Any(c => c is <= ' ' or >= '\u007f'))
        {
            throw new ArgumentException($"'{key}' is no key: 1 to 512 printable ASCII characters", nameof(key));
        }
    }
}

/// <summary>What a range holds, and the revision at which it was read. More: the limit cut it.</summary>
internal sealed record RangeResult(long Revision, IReadOnlyList<KeyValue> Items, bool More);

/// <summary>A change. Value is null when the key was deleted; Before is null when there was none.</summary>
internal sealed record StoreEvent(string Key, KeyValue? Value, KeyValue? Before, long Revision);
