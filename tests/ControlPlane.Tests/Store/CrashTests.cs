using System.Diagnostics;
using System.Globalization;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Tests.Store;

/// <summary>
/// A process writes random transactions and says of each that it is acknowledged; it is killed with SIGKILL at a random moment. What the file then holds must be
/// what the acknowledged ones make, or that and the one more that was under way.
/// </summary>
[Trait("Category", "Fault")]
public sealed class CrashTests : IDisposable
{
    private const int Kills = 25;

    private readonly string _folder = Directory.CreateTempSubdirectory("nk-crash").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>The process that is killed: "store-writer FILE SEED". The model in it has what the file had at its start.</summary>
    internal static int Writer(string path, int seed)
    {
        using SqliteStore store = SqliteStore.Open(path);
        using Stream output = Console.OpenStandardOutput();
        var random = new Random(seed);
        for (long step = 0; ; step++)
        {
            Transaction transaction = RandomTransactions.Next(
                random, key => store.RangeAsync(KeyRange.One(key)).AsTask().Result.Items.FirstOrDefault(), store.RevisionAsync().AsTask().Result);
            _ = store.CommitAsync(transaction).AsTask().Result;
            output.Write([(byte)'.']); // straight to the pipe: an acknowledgement that was seen was given
        }
    }

    [Fact]
    public async Task No_acknowledged_write_is_lost_by_kill_9()
    {
        string path = Path.Combine(_folder, "state.db");
        SqliteStore.Open(path).Dispose();
        var model = new StoreModel();
        int seed = Random.Shared.Next();
        var moments = new Random(seed);
        int acknowledged = 0;
        for (int kill = 0; kill < Kills; kill++)
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true };
            start.ArgumentList.Add("exec");
            start.ArgumentList.Add(typeof(CrashTests).Assembly.Location);
            start.ArgumentList.Add("store-writer");
            start.ArgumentList.Add(path);
            start.ArgumentList.Add((seed + kill).ToString(CultureInfo.InvariantCulture));
            using Process writer = Process.Start(start)!;
            int wanted = 1 + moments.Next(60), seen = 0;
            byte[] buffer = new byte[1];
            while (seen < wanted && await writer.StandardOutput.BaseStream.ReadAsync(buffer) == 1)
            {
                seen++;
            }

            writer.Kill();
            while (await writer.StandardOutput.BaseStream.ReadAsync(buffer) == 1)
            {
                seen++;
            }

            await writer.WaitForExitAsync();
            Assert.True(seen >= wanted, $"the writer ended by itself (seed {seed}, kill {kill})");
            acknowledged += seen;

            // The same transactions, from what the file was before.
            var random = new Random(seed + kill);
            for (int i = 0; i < seen; i++)
            {
                _ = model.Commit(RandomTransactions.Next(random, model.Get, model.Revision));
            }

            using SqliteStore store = SqliteStore.Open(path);
            string[] holds = [.. (await store.RangeAsync(KeyRange.Prefix(""))).Items.Select(StoreModel.Show)];
            if (!holds.SequenceEqual(model.Range(KeyRange.Prefix("")).Select(StoreModel.Show)) || await store.RevisionAsync() != model.Revision)
            {
                _ = model.Commit(RandomTransactions.Next(random, model.Get, model.Revision));
                Assert.Equal(model.Range(KeyRange.Prefix("")).Select(StoreModel.Show), holds);
                Assert.Equal(model.Revision, await store.RevisionAsync());
            }
        }

        Assert.True(acknowledged >= Kills);
    }
}
