using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>What a scenario sees of a world: machines, a folder of its own, and the transcript that is compared.</summary>
internal sealed class World
{
    private readonly INet _net;
    private readonly List<RunningProgram> _programs = [];

    public World(INet net, string folder)
    {
        _net = net;
        Folder = folder;
        Transcript = new Transcript(folder);
        Server = new Machine(this, Machines.Server);
        Peer = new Machine(this, Machines.Peer);
        Client = new Machine(this, Machines.Client);
        Outside = new Machine(this, Machines.Outside);
    }

    public Machine Server { get; }

    public Machine Peer { get; }

    public Machine Client { get; }

    public Machine Outside { get; }

    /// <summary>Absolute, 0755, gone after the scenario; programs start in it.</summary>
    public string Folder { get; }

    public Transcript Transcript { get; }

    /// <summary>A path in the folder.</summary>
    public string At(string name) => Path.Combine(Folder, name);

    /// <summary>Writes a file; "@/" in it becomes the folder, $SERVER and the like become addresses.</summary>
    public string Write(string name, string text)
    {
        string path = At(name);
        _ = Directory.CreateDirectory(Path.GetDirectoryName(path)!, (UnixFileMode)0x1ED /* 0755 */);
        File.WriteAllText(path, Fill(text));
        return path;
    }

    /// <summary>Writes a file of reproducible noise.</summary>
    public string WriteNoise(string name, int size)
    {
        string path = At(name);
        _ = Directory.CreateDirectory(Path.GetDirectoryName(path)!, (UnixFileMode)0x1ED);
        byte[] noise = new byte[size];
        new Random(size).NextBytes(noise);
        File.WriteAllBytes(path, noise);
        return path;
    }

    /// <summary>The last lines of a file that a program wrote.</summary>
    public string Tail(string name, int lines = 8) => File.Exists(At(name)) ? string.Join('\n', File.ReadLines(At(name)).TakeLast(lines)) : "";

    /// <summary>One of the test's own programs, which lie beside the assembly.</summary>
    public static string Own(string name) => Path.Combine(AppContext.BaseDirectory, "files", name);

    /// <summary>Takes what is left of the programs: a server that does not end when told to is a failure.</summary>
    public void AssertNothingRuns()
    {
        string left = "";
        Assert.True(NkInstance.WaitFor(() => (left = Running()).Length == 0, Patience.Short), $"still running at the end:\n{left}");
    }

    /// <summary>SIGKILL to everything in the machines' namespaces.</summary>
    public void KillAll()
    {
        foreach (int pid in Machines.All.SelectMany(Pids))
        {
            _ = GuestProcess.SendSignal(pid, 9);
        }

        _programs.ForEach(program => program.Process.Dispose());
        _ = NkInstance.WaitFor(() => !Machines.All.SelectMany(Pids).Any(), Patience.Short);
    }

    /// <summary>What the programs that were started wrote, and their logs, for a message.</summary>
    public string Logs()
    {
        IEnumerable<string> files = Directory.EnumerateFiles(Folder, "*.log", SearchOption.AllDirectories).Select(path => $"{Path.GetFileName(path)}:\n{Tail(path)}");
        return string.Join('\n', _programs.Select(program => program.ToString()).Concat(files));
    }

    internal RunningProgram Start(string machine, IEnumerable<string> command)
    {
        string[] words = [.. command];
        var program = new RunningProgram(this, words[0], _net.Start(machine, ["/bin/sh", "-c", "cd \"$0\" && exec \"$@\"", Folder, .. words]));
        _programs.Add(program);
        return program;
    }

    internal CommandResult Shell(string machine, string script, TimeSpan time)
    {
        using GuestProcess process = _net.Start(machine, ["/bin/bash", "-c", $"cd {Folder}\n{Addresses()}{script}"]);
        return process.Wait(time);
    }

    internal bool Listens(string machine, int port) => _net.Listens(machine, port);

    private static string Addresses() => string.Concat(
        Machines.All.Select(machine => $"{machine.ToUpperInvariant()}={Machines.Ipv4(machine)} {machine.ToUpperInvariant()}6={Machines.Ipv6(machine)}\n"));

    private string Fill(string text)
    {
        text = text.Replace("@/", Folder + "/", StringComparison.Ordinal);
        foreach (string machine in Machines.All)
        {
            string name = "$" + machine.ToUpperInvariant();
            text = text.Replace(name + "6", Machines.Ipv6(machine), StringComparison.Ordinal).Replace(name, Machines.Ipv4(machine), StringComparison.Ordinal);
        }

        return text;
    }

    private string Running() =>
        string.Join('\n', Machines.All.SelectMany(machine => Pids(machine).Select(pid => $"{machine}: {pid} {NamespacePids.CommandLine(pid)}")));

    // The namespaces are this fixture's own, so everything in them was started by it.
    private IEnumerable<int> Pids(string machine) => NamespacePids.In(_net.NamespaceOf(machine));
}
