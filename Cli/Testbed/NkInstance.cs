using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli.Testbed;

/// <summary>
/// A NetKernel of its own for the demo or a test: unique instance name, run directory and temporary folder. Disposing ends every program that was
/// started in it and removes everything; it may be called at any time, also from a signal handler.
/// </summary>
public sealed class NkInstance : IDisposable
{
    private static int _count;

    private readonly List<GuestProcess> _processes = [];
    private readonly Lock _sync = new();
    private readonly string _nk;
    private readonly NkdClient _client;
    private OutsideNamespace? _outside;
    private (string, string?)[] _options = [];
    private (string, string)[] _environment = [];
    private int _runs;
    private bool _disposed;

    private NkInstance(string name, string runDirectory, string folder, string nk)
    {
        Name = name;
        RunDirectory = runDirectory;
        Folder = folder;
        _nk = nk;
        _client = new NkdClient(runDirectory);
    }

    /// <summary>The instance's name.</summary>
    public string Name { get; }

    /// <summary>Its run directory.</summary>
    public string RunDirectory { get; }

    /// <summary>A temporary folder that everybody may read; removed at the end.</summary>
    public string Folder { get; }

    /// <summary>A machine outside; made when first asked for.</summary>
    public OutsideNamespace Outside => _outside ??= new OutsideNamespace(this);

    /// <summary>nkd's process id.</summary>
    public int ControlPlanePid => _client.Status().Pid;

    /// <summary>CoreEngine's process id.</summary>
    public int EnginePid => _client.Status().EnginePid;

    /// <summary>Brings an instance up. <paramref name="options"/> are those of nk up, as "--loops", "2".</summary>
    public static NkInstance Up(string prefix = "t", params string[] options) => Up(prefix, [], options);

    /// <summary>The same with variables in nkd's environment, and in that of what it starts.</summary>
    public static NkInstance Up(string prefix, (string Name, string Value)[] environment, params string[] options)
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"{prefix}-{Environment.ProcessId}-{Interlocked.Increment(ref _count)}");
        string runDirectory = Places.DefaultRunDirectory(name);
        string nk = Places.Find("nk") ?? throw CliException.Failure("nk is not built: ./nk build");
        string folder = Path.Combine(Path.GetTempPath(), "netkernel-" + name);
        _ = Directory.CreateDirectory(folder, (UnixFileMode)0x1ED /* 0755 */);
        var instance = new NkInstance(name, runDirectory, folder, nk);
        try
        {
            instance._options = [.. options.Chunk(2).Select(pair => (pair[0], (string?)pair[1]))];
            instance._environment = environment;
            instance.StartControlPlane();
            return instance;
        }
        catch
        {
            instance.Dispose();
            throw;
        }
    }

    /// <summary>Starts nkd, which takes over what runs; returns when it is ready.</summary>
    public void StartControlPlane()
    {
        _ = UpDown.Start(RunDirectory, Name, _options, _environment);

        // The client may still hold a connection to the nkd before this one, and learn only by using it that it has ended.
        _ = WaitFor(() => _client.TryStatus() is not null, TimeSpan.FromSeconds(10));
    }

    /// <summary>Makes a guest.</summary>
    public void CreateGuest(string guest, string? nsm = null) => _client.CreateGuest(new Guest { Name = guest, Nsm = nsm ?? "" }, mustBeNew: false);

    /// <summary>Makes a guest with a resolv.conf of its own.</summary>
    public void CreateGuest(string guest, string[] nameservers, string[] search, string[] options) =>
        _client.CreateGuest(
            new Guest { Name = guest, Dns = new Dns { Servers = { nameservers }, Search = { search }, Options = { options } } }, mustBeNew: true);

    /// <summary>Starts a program in a guest, as nk run does.</summary>
    public GuestProcess Start(string guest, params IEnumerable<string> command) => StartRaw([_nk, "run", "--run-dir", RunDirectory, "--guest", guest, "--", .. command]);

    /// <summary>The same with the program's loopback carried by NetKernel (instances in private mode).</summary>
    public GuestProcess StartOnLoopback(string guest, params IEnumerable<string> command) =>
        StartRaw([_nk, "run", "--run-dir", RunDirectory, "--guest", guest, "--loopback", "netkernel", "--", .. command]);

    /// <summary>Starts a program in a guest's namespace without NetKernel: for what a program does natively.</summary>
    public GuestProcess StartNatively(string guest, params IEnumerable<string> command) => StartRaw(["ip", "netns", "exec", NamespaceOf(guest), .. command]);

    /// <summary>Runs a program in a guest to its end; kills it when the time is up.</summary>
    public CommandResult Run(string guest, TimeSpan timeout, params IEnumerable<string> command)
    {
        using GuestProcess process = Start(guest, command);
        return process.Wait(timeout);
    }

    /// <summary>Runs an nk command on this instance.</summary>
    public CommandResult Nk(params string[] arguments)
    {
        int cut = Array.IndexOf(arguments, "--");
        IEnumerable<string> before = cut < 0 ? arguments : arguments.Take(cut);
        using GuestProcess process = StartRaw([_nk, .. before, "--run-dir", RunDirectory, .. cut < 0 ? [] : arguments[cut..]]);
        return process.Wait(TimeSpan.FromSeconds(30));
    }

    /// <summary>Starts an nk command on this instance.</summary>
    public GuestProcess StartNk(params IEnumerable<string> arguments) => StartRaw([_nk, .. arguments, "--run-dir", RunDirectory]);

    /// <summary>The answer of an nk list command, parsed: List("guest", "list").</summary>
    public JsonElement List(params string[] arguments)
    {
        CommandResult result = Nk([.. arguments, "-o", "json"]);
        return result.Succeeded ? JsonDocument.Parse(result.Output).RootElement : throw new InvalidOperationException(result.ToString());
    }

    /// <summary>A guest's IPv4 address.</summary>
    public string Ipv4(string guest) => Guest(guest).Ipv4 is { Length: > 0 } address ? address : throw new InvalidOperationException($"{guest} has no IPv4 address");

    /// <summary>A guest's IPv6 address.</summary>
    public string Ipv6(string guest) => Guest(guest).Ipv6 is { Length: > 0 } address ? address : throw new InvalidOperationException($"{guest} has no IPv6 address");

    /// <summary>The name of a guest's network namespace.</summary>
    public string NamespaceOf(string guest) => Path.GetFileName(Guest(guest).NamespacePath);

    /// <summary>An NSM's process id; 0 while it is away.</summary>
    public int NsmPid(string nsm = "kernel0") => _client.Nsms().First(other => other.Name == nsm).Pid;

    /// <summary>Whether an NSM is attached.</summary>
    public bool NsmReady(string nsm = "kernel0") => _client.Nsms().First(other => other.Name == nsm).State == NsmState.Ready;

    /// <summary>"ready", "detached" ...</summary>
    public string StateOf(string guest) => ProtoJson.Name(NetKernel.Api.V1.Guest.Descriptor.FindFieldByName("state").EnumType, (int)Guest(guest).State);

    /// <summary>Why a guest was detached, or null.</summary>
    public string? ReasonOf(string guest) => Guest(guest).Reason is { Length: > 0 } reason ? reason : null;

    /// <summary>What CoreEngine has counted for some guests, or for all.</summary>
    public Traffic TrafficOf(params string[] guests)
    {
        GuestCounters[] rows = [.. _client.Counters().Guests.Where(row => guests.Length == 0 || guests.Contains(row.Name))];
        return new Traffic(
            Sum(rows, row => row.Connects + row.Accepts), Sum(rows, row => row.NqesFromGuest + row.NqesToGuest), Sum(rows, row => row.BytesSent + row.BytesReceived),
            Sum(rows, row => row.Open), Sum(rows, row => row.Processes));
    }

    /// <summary>Times that are given are for a machine with little else to do; one with ten times more tasks than cores gets so many times as much before something is taken for stuck.</summary>
    internal const int Patience = 4;

    /// <summary>Waits until a guest listens on a port; false when it does not within <see cref="Patience"/> times the time.</summary>
    public bool WaitForListener(string guest, int port, TimeSpan timeout)
    {
        string end = string.Create(CultureInfo.InvariantCulture, $":{port}");
        return WaitFor(() => _client.Connections().Any(row => row.Guest == guest && row.State == "listen" && row.Local.EndsWith(end, StringComparison.Ordinal)), timeout);
    }

    /// <summary>Waits until something holds; false when it does not within <see cref="Patience"/> times the time.</summary>
    public static bool WaitFor(Func<bool> condition, TimeSpan timeout)
    {
        long began = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(began) > timeout * Patience)
            {
                return false;
            }

            Thread.Sleep(10);
        }

        return true;
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
        }

        lock (_processes)
        {
            foreach (GuestProcess process in _processes.Where(process => !process.Ended))
            {
                process.Signal(15);
            }
        }

        try
        {
            _ = UpDown.Stop(RunDirectory);
        }
        finally
        {
            lock (_processes)
            {
                _processes.ForEach(process => process.Dispose());
            }

            _client.Dispose();
            TryDelete(Folder);
            TryDelete(RunDirectory);
        }
    }

    /// <summary>Starts anything, with its output in the folder; it ends with the instance.</summary>
    internal GuestProcess StartRaw(IEnumerable<string> command)
    {
        GuestProcess process = GuestProcess.Start(Folder, Interlocked.Increment(ref _runs), command);
        lock (_processes)
        {
            _processes.RemoveAll(old => old.Ended);
            _processes.Add(process);
        }

        return process;
    }

    internal string NsmOf(string guest) => Guest(guest).Nsm;

    private Guest Guest(string name) =>
        _client.Guests().FirstOrDefault(guest => guest.Name == name) ?? throw new InvalidOperationException($"there is no guest {name}");

    private static ulong Sum(GuestCounters[] rows, Func<GuestCounters, ulong> value) => rows.Aggregate(0UL, (sum, row) => sum + value(row));

    private static void TryDelete(string folder)
    {
        try
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }
        }
        catch (IOException)
        {
            // Somebody still writes there; it is a temporary folder.
        }
    }
}

/// <summary>Sums over guests. Connections: made and accepted so far; Open: table entries now.</summary>
public readonly record struct Traffic(ulong Connections, ulong Nqes, ulong Bytes, ulong Open, ulong Processes)
{
    /// <summary>What came in between.</summary>
    public static Traffic operator -(Traffic now, Traffic before) =>
        new(now.Connections - before.Connections, now.Nqes - before.Nqes, now.Bytes - before.Bytes, now.Open, now.Processes);
}
