using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Tests.Store;

/// <summary>What a store does, in the plainest words: a dictionary and a list of changes.</summary>
internal sealed class StoreModel
{
    private readonly SortedDictionary<string, KeyValue> _keys = new(StringComparer.Ordinal);

    public List<StoreEvent> Events { get; } = [];

    public long Revision { get; private set; }

    public KeyValue? Get(string key) => _keys.GetValueOrDefault(key);

    public List<KeyValue> Range(KeyRange range) => [.. _keys.Values.Where(item => range.Contains(item.Key))];

    public bool Commit(Transaction transaction)
    {
        bool holds = transaction.When.All(compare => compare.Holds(Get(compare.Key)));
        bool wrote = false;
        foreach (Write write in holds ? transaction.Then : transaction.Otherwise)
        {
            KeyValue? before = Get(write.Key);
            if (write.Value is null && before is null)
            {
                continue;
            }

            wrote = true;
            KeyValue? now = write.Value is null ? null : new KeyValue(write.Key, write.Value, before?.CreateRevision ?? Revision + 1, Revision + 1, (before?.Version ?? 0) + 1);
            Events.Add(new StoreEvent(write.Key, now, before, Revision + 1));
            _ = now is null ? _keys.Remove(write.Key) : (_keys[write.Key] = now) is not null;
        }

        Revision += wrote ? 1 : 0;
        return holds;
    }

    public static string Show(KeyValue? one) =>
        one is null ? "-" : $"{one.Key}={Convert.ToHexString(one.Value)} c{one.CreateRevision} m{one.ModRevision} v{one.Version}";

    public static string Show(StoreEvent e) => $"{e.Revision} {e.Key}: {Show(e.Before)} -> {Show(e.Value)}";
}
