using System.Globalization;
using System.Runtime.CompilerServices;
using NetKernel.Cli.Testbed;
using NetKernel.Testing;

// Each test uses real programs and both cores: one at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>
/// Runs a scenario twice, in ordinary namespaces and through NetKernel, and compares what it wrote down. There is one network of ordinary namespaces and one
/// NetKernel per kind of NSM for all tests. The machines have the same names and addresses in both worlds, so that transcripts need hardly any normalising.
/// </summary>
public sealed class MatrixFixture : IDisposable
{
    public const string Name = "matrix";

    // Short, because programs put Unix sockets below it: haproxy takes paths of 97 bytes.
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"m{Environment.ProcessId}");
    private readonly Dictionary<string, GuestNet> _guests = [];
    private readonly Dictionary<string, string> _native = [];
    private readonly ResultTable _results = new(
        "programs-matrix.md",
        """
        # The program matrix, row by row

        Every test of `tests/Matrix.Tests` over every kind of NSM ([programs.md](programs.md) says what they do). "equal": all that the programs printed and logged is what they print and log in ordinary
        namespaces; behind it, what the guests' connections were and carried by CoreEngine's counters. To make this table anew, in a quarter of an hour:

            NK_LONG=1 NK_WRITE_DOCS=$PWD/docs ./nk test Matrix
        """,
        NsmKinds.Kernel, NsmKinds.Mtcp, NsmKinds.Shared);

    private NativeNet? _nativeNet;

    public MatrixFixture() => _ = Directory.CreateDirectory(_folder, (UnixFileMode)0x1ED /* 0755 */);

    /// <summary>
    /// The scenario must leave the same transcript in both worlds; in NetKernel's, the guests must have made and accepted at least <paramref name="connections"/>
    /// connections and carried <paramref name="bytes"/>, have no interface but lo, and in both worlds no program may be left at the end.
    /// </summary>
    internal void Same(string nsm, int connections, long bytes, Action<World> scenario, [CallerMemberName] string test = "", [CallerFilePath] string file = "")
    {
        string name = $"{Path.GetFileNameWithoutExtension(file)}.{test}", row = $"{Path.GetFileNameWithoutExtension(file)[..^"Tests".Length]}: {test.Replace('_', ' ')}";
        _results.Add(row, nsm, "**not equal**"); // unless it comes to its end
        if (!_native.TryGetValue(name, out string? expected))
        {
            _nativeNet ??= new NativeNet(_folder);
            expected = Play(_nativeNet, "native", name, scenario);
            _native.Add(name, expected);
        }

        if (!_guests.TryGetValue(nsm, out GuestNet? net))
        {
            net = new GuestNet(nsm);
            _guests.Add(nsm, net);
        }

        Traffic before = net.Traffic();
        ulong sharedBefore = net.SharedBytes();
        string found = Play(net, nsm, name, scenario);
        Transcript.AssertEqual(expected, found);
        Traffic used = net.Traffic() - before;
        Assert.True(used.Connections >= (ulong)connections, $"only {used.Connections} connections went through NetKernel");
        Assert.True(used.Bytes >= (ulong)bytes, $"only {used.Bytes} bytes went through NetKernel");
        ulong shared = net.SharedBytes() - sharedBefore;
        Assert.True(nsm == NsmKinds.Shared ? shared > 0 : shared == 0, $"{shared} bytes went by shared memory");
        net.AssertOnlyLoopback();
        Assert.True(
            NkInstance.WaitFor(() => net.Traffic() is { Open: 0, Processes: 0 }, Patience.Long),
            $"all programs have ended, but CoreEngine has {net.Traffic()}\n{net.Connections()}");
        _results.Add(row, nsm, string.Create(CultureInfo.InvariantCulture, $"equal; {used.Connections} connections, {used.Bytes / 1e6:N1} MB"));
    }

    public void Dispose()
    {
        _results.Write();
        foreach (GuestNet net in _guests.Values)
        {
            net.Dispose();
        }

        _nativeNet?.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string Play(INet net, string kind, string name, Action<World> scenario)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, kind, name), (UnixFileMode)0x1ED).FullName;
        var world = new World(net, folder);
        try
        {
            scenario(world);
            world.AssertNothingRuns();
            return world.Transcript.ToString();
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"[{kind}] {e.Message}\n--- so far:\n{world.Transcript.Tail()}\n--- programs:\n{world.Logs()}", e);
        }
        finally
        {
            world.KillAll();
            Directory.Delete(folder, recursive: true);
        }
    }
}

[CollectionDefinition(MatrixFixture.Name)]
public sealed class MatrixCollection : ICollectionFixture<MatrixFixture>;
