using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Tests.Store;

/// <summary>Transactions over a few keys, so that conditions hold about as often as not.</summary>
internal static class RandomTransactions
{
    private static readonly string[] Keys = ["/a", "/a/b", "/b", "/c/1", "/c/2", "/z"];

    public static Transaction Next(Random random, Func<string, KeyValue?> get, long revision) => new(
        [.. Enumerable.Range(0, random.Next(3)).Select(_ => Compare(random, get, revision))], Writes(random), Writes(random));

    public static KeyRange Range(Random random) => random.Next(4) switch
    {
        0 => KeyRange.Prefix(""),
        1 => KeyRange.Prefix("/a"),
        2 => KeyRange.Prefix("/c/"),
        _ => KeyRange.One(Keys[random.Next(Keys.Length)]),
    };

    private static Compare Compare(Random random, Func<string, KeyValue?> get, long revision)
    {
        string key = Keys[random.Next(Keys.Length)];
        var target = (CompareTarget)random.Next(3);
        KeyValue? now = get(key);
        long number = random.Next(3) == 0 ? random.NextInt64(revision + 2) : now is null ? 0 : target switch
        {
            CompareTarget.Version => now.Version,
            CompareTarget.CreateRevision => now.CreateRevision,
            _ => now.ModRevision,
        };
        return new Compare(key, target, (CompareResult)random.Next(3), number);
    }

    private static List<Write> Writes(Random random)
    {
        string[] keys = [.. Keys.OrderBy(_ => random.Next()).Take(random.Next(4))];
        return [.. keys.Select(key => new Write(key, random.Next(3) == 0 ? null : Bytes(random)))];
    }

    private static byte[] Bytes(Random random)
    {
        byte[] bytes = new byte[random.Next(5)];
        random.NextBytes(bytes);
        return bytes;
    }
}
