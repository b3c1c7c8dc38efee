using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>One NetKernel that the tests of a collection share: guests a and b, and a machine outside.</summary>
public sealed class InstanceFixture : IDisposable
{
    public InstanceFixture()
    {
        Nk = NkInstance.Up("e2e");
        Nk.CreateGuest("a");
        Nk.CreateGuest("b");
    }

    /// <summary>The instance.</summary>
    public NkInstance Nk { get; }

    public void Dispose() => Nk.Dispose();
}

/// <summary>
/// One NetKernel in private mode, which carries the loopback of programs started with StartOnLoopback. Guest a is for them, guest "native" lends its namespace to the
/// same programs without NetKernel.
/// </summary>
public sealed class PrivateFixture : IDisposable
{
    private readonly Lazy<NkInstance> _nk = new(() =>
    {
        NkInstance nk = NkInstance.Up("private", "--mode", "private");
        nk.CreateGuest("a");
        nk.CreateGuest("native");
        return nk;
    });

    private readonly Lazy<NkInstance> _mtcp = new(() =>
    {
        // Without shared memory, or the user-space stack would see nothing of these guests.
        NkInstance nk = NkInstance.Up("private-m", "--mode", "private", "--shared-memory", "off");
        Assert.True(nk.Nk("nsm", "create", "m0", "--kind", "mtcp").Succeeded);
        nk.CreateGuest("a", "m0");
        nk.CreateGuest("native");
        return nk;
    });

    /// <summary>Brought up when a test first asks for it.</summary>
    public NkInstance Nk => _nk.Value;

    /// <summary>Runs a program natively and through NetKernel at the same time, on a loopback of its own each.</summary>
    public (CommandResult Native, CommandResult Ours) RunBoth(TimeSpan time, params string[] command) => RunBoth("kernel", time, command);

    /// <summary>The same over an NSM of that kind, kernel or mtcp.</summary>
    public (CommandResult Native, CommandResult Ours) RunBoth(string kind, TimeSpan time, params string[] command)
    {
        NkInstance nk = kind == "kernel" ? Nk : _mtcp.Value;
        using GuestProcess native = nk.StartNatively("native", command);
        using GuestProcess ours = nk.StartOnLoopback("a", command);
        return (native.Wait(time), ours.Wait(time));
    }

    public void Dispose()
    {
        foreach (Lazy<NkInstance> nk in new[] { _nk, _mtcp }.Where(nk => nk.IsValueCreated))
        {
            nk.Value.Dispose();
        }
    }
}

[CollectionDefinition(Name)]
public sealed class PrivateCollection : ICollectionFixture<PrivateFixture>
{
    public const string Name = "private";
}

[CollectionDefinition(Name)]
public sealed class SharedInstance : ICollectionFixture<InstanceFixture>
{
    public const string Name = "instance";
}

/// <summary>The test programs beside the assembly.</summary>
internal static class Programs
{
    private static readonly HashSet<string> Compiled = [];

    public static string Path(string name) => System.IO.Path.Combine(AppContext.BaseDirectory, "programs", name);

    /// <summary>Compiles a C program of the tests; returns where it is.</summary>
    public static string Compile(NkInstance nk, string name)
    {
        string program = System.IO.Path.Combine(nk.Folder, System.IO.Path.GetFileNameWithoutExtension(name));
        lock (Compiled)
        {
            if (Compiled.Add(program))
            {
                using GuestProcess gcc = GuestProcess.Start(nk.Folder, 9000 + Compiled.Count, ["gcc", "-O1", "-w", "-pthread", "-o", program, Path(name)]);
                CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
                Assert.True(built.Succeeded, built.ToString());
            }
        }

        return program;
    }

    /// <summary>Runs a server ("ready PORT" is its first line) and its client on the machine's own loopback; what the client printed.</summary>
    public static string RunNatively(string[] server, Func<int, string[]> client, int seconds = 90)
    {
        string folder = Directory.CreateTempSubdirectory("nk-native").FullName;
        try
        {
            using GuestProcess listening = GuestProcess.Start(folder, 1, server);
            AwaitLine(listening, "ready");
            int port = int.Parse(listening.Output.Split()[1], System.Globalization.CultureInfo.InvariantCulture);
            using GuestProcess process = GuestProcess.Start(folder, 2, client(port));
            CommandResult result = process.Wait(TimeSpan.FromSeconds(seconds));
            Assert.True(result.Succeeded, result.ToString());
            return result.Output;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Waits for a line of a program's output; fails with what it wrote when it does not come.</summary>
    public static void AwaitLine(GuestProcess process, string line, int seconds = 30) =>
        Assert.True(
            NkInstance.WaitFor(() => HasLine(process.Output, line) || process.Ended, TimeSpan.FromSeconds(seconds)) && HasLine(process.Output, line),
            $"no line \"{line}\": {process.Output}{process.Error}");

    // To its end: unbuffered, Python writes a line in pieces.
    private static bool HasLine(string output, string line)
    {
        int at = output.IndexOf(line, StringComparison.Ordinal);
        return at >= 0 && output.IndexOf('\n', at) >= 0;
    }
}
