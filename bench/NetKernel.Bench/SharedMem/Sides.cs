using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>One way between two programs: where the server is for its clients, and how either is started.</summary>
/// <param name="Name">As the tables have it.</param>
/// <param name="Ours">The instance whose processes work for it, or null.</param>
/// <param name="Address">The server's, as messages.c takes it.</param>
/// <param name="Serve">Starts a program at the server.</param>
/// <param name="Call">Starts a program at the client.</param>
internal sealed record Side(string Name, NkInstance? Ours, string[] Address, Func<string[], GuestProcess> Serve, Func<string[], GuestProcess> Call)
{
    /// <summary>CPU seconds so far of the processes between the programs.</summary>
    public CpuUse PlatformCpu() => Ours is null ? default : new CpuUse(0, 0, ProcessCpu.Seconds(Ours.EnginePid), ProcessCpu.Seconds(Ours.NsmPid()));
}

/// <summary>All ways that are compared, and what they stand on.</summary>
internal sealed class Sides : IDisposable
{
    public const int Port = 7200, JoinedPort = 7298;

    private readonly NkInstance _nk;
    private NkInstance? _saving;
    private string _cgroup = "";
    private readonly List<GuestProcess> _helpers = [];

    public Sides()
    {
        _nk = Up("shm");
        try
        {
            Native = new NativeMachine(_nk);
            Bridge = new Side("veth+bridge", null, [Native.Ipv4, Text.Invariant($"{Port}")], command => Native.Start(command), _nk.Outside.Start);
            Copies = Guests("copies", _nk, "a", "b");
            Direct = Guests("direct", _nk, "c", "d");
            All = Make();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>In the order of the tables.</summary>
    public IReadOnlyList<Side> All { get; }

    public Side Bridge { get; }

    public Side Copies { get; }

    public Side Direct { get; }

    public NativeMachine Native { get; }

    public NkInstance Instance => _nk;

    /// <summary>Why there is no sockmap; empty: there is.</summary>
    public string NoSockmap { get; private set; } = "";

    /// <summary>Compiles one of the C programs beside this one.</summary>
    public string Build(string name) => Build(_nk, name);

    /// <summary>The same, for an instance.</summary>
    public static string Build(NkInstance nk, string name)
    {
        string program = Path.Combine(nk.Folder, name);
        using GuestProcess gcc = nk.StartRaw(["gcc", "-O2", "-pthread", "-o", program, Path.Combine(AppContext.BaseDirectory, "SharedMem", name + ".c")]);
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        return built.Succeeded ? program : throw new RunFailure(built.ToString());
    }

    public void Dispose()
    {
        _helpers.ForEach(process => process.Dispose());
        _saving?.Dispose();
        _nk.Dispose();
        if (_cgroup.Length > 0)
        {
            _ = NkInstance.WaitFor(() => TryRemove(_cgroup), TimeSpan.FromSeconds(5));
        }
    }

    private List<Side> Make()
    {
        _saving = Up("shs", "--placement", "saving");
        string port = Text.Invariant($"{Port}");
        List<Side> all =
        [
            new Side("loopback", null, ["127.0.0.1", port], _nk.Outside.Start, _nk.Outside.Start),
            Veth(port),
            Bridge,
            new Side("AF_UNIX", null, ["unix", Path.Combine(_nk.Folder, "unix")], _nk.Outside.Start, _nk.Outside.Start),
            Copies,
            Direct,
            Guests("direct, saving", _saving, "c", "d"),
        ];
        string? mount = File.ReadLines("/proc/mounts").Select(line => line.Split(' ')).FirstOrDefault(words => words[2] == "cgroup2")?[1];
        if (mount is null)
        {
            NoSockmap = "there is no cgroup v2 hierarchy to attach the program to";
            return all;
        }

        _cgroup = Directory.CreateDirectory(Path.Combine(mount, "netkernel-bench-" + _nk.Name)).FullName;
        string joined = Text.Invariant($"{JoinedPort}");
        GuestProcess map = _nk.StartRaw([Build("sockmap"), _cgroup, joined]);
        _helpers.Add(map);
        if (!NkInstance.WaitFor(() => map.Ended || map.Output.Contains("ready", StringComparison.Ordinal), TimeSpan.FromSeconds(10)) || map.Ended)
        {
            NoSockmap = map.Error.Trim().Split('\n')[^1];
            return all;
        }

        GuestProcess Inside(string[] command) => _nk.Outside.Start(["sh", "-c", $"echo $$ >{_cgroup}/cgroup.procs; exec \"$@\"", "sh", .. command]);
        all.Insert(3, new Side("sockmap", null, ["127.0.0.1", joined], Inside, Inside));
        return all;
    }

    private static bool TryRemove(string cgroup)
    {
        try
        {
            Directory.Delete(cgroup);
            return true;
        }
        catch (IOException)
        {
            return false; // somebody is still in it
        }
    }

    /// <summary>Guests a and b reach each other by copies, c and d in the direct form.</summary>
    public static NkInstance Up(string name, params string[] options)
    {
        NkInstance nk = NkInstance.Up(name, options);
        foreach (string guest in (string[])["a", "b", "c", "d"])
        {
            nk.CreateGuest(guest);
            CommandResult said = nk.Nk("guest", "update", guest, "--shared-memory", guest is "c" or "d" ? "direct" : "copy");
            if (!said.Succeeded)
            {
                nk.Dispose();
                throw new RunFailure($"{said}");
            }
        }

        return nk;
    }

    public static Side Guests(string name, NkInstance nk, string client, string server) =>
        new(name, nk, [nk.Ipv4(server), Text.Invariant($"{Port}")], command => nk.Start(server, command), command => nk.Start(client, command));

    /// <summary>Two namespaces, one pair of devices between them and nothing else.</summary>
    private Side Veth(string port)
    {
        // Names of the form that NSMs have: nkd removes those at its end.
        string client = _nk.Name + "-nsm-va", server = _nk.Name + "-nsm-vb";
        OutsideNamespace.Ip(null, $"netns add {client}", $"netns add {server}");
        OutsideNamespace.Ip(client, $"link add eth0 type veth peer name eth0 netns {server}", "link set eth0 up", "addr add 198.19.0.1/30 dev eth0");
        OutsideNamespace.Ip(server, "link set eth0 up", "addr add 198.19.0.2/30 dev eth0");
        return new Side(
            "veth", null, ["198.19.0.2", port],
            command => _nk.StartRaw(["ip", "netns", "exec", server, .. command]), command => _nk.StartRaw(["ip", "netns", "exec", client, .. command]));
    }
}
