using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>A DNS server outside, a guest whose resolv.conf names it, and the same file for native runs.</summary>
internal sealed class NameBed : IDisposable
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(120);
    private static readonly string[] Domains = ["sub.example.test", "example.test"];

    private readonly NkInstance _nk;
    private readonly string _guest;
    private readonly string _file;
    private readonly GuestProcess _server;
    private int _logged;

    public NameBed(NkInstance nk, string guest, params string[] options)
        : this(nk, guest, [nk.Outside.Ipv4], Domains, options)
    {
    }

    public NameBed(NkInstance nk, string guest, string[] servers, string[] search, string[] options)
    {
        _nk = nk;
        _guest = guest;
        Program = Path.Combine(nk.Folder, "names");
        if (!File.Exists(Program))
        {
            using GuestProcess gcc = GuestProcess.Start(nk.Folder, 9002, ["gcc", "-O1", "-pthread", "-o", Program, Programs.Path("names.c"), "-lresolv"]);
            CommandResult built = gcc.Wait(Time);
            Assert.True(built.Succeeded, built.ToString());
        }

        _file = Path.Combine(nk.Folder, $"{guest}.resolv.conf");
        File.WriteAllText(
            _file,
            string.Concat(servers.Select(server => $"nameserver {server}\n")) + (search.Length > 0 ? $"search {string.Join(' ', search)}\n" : "")
                + (options.Length > 0 ? $"options {string.Join(' ', options)}\n" : ""));
        nk.CreateGuest(guest, servers, search, options);
        _server = nk.Outside.Start("python3", Programs.Path("dnsserver.py"), nk.Outside.Ipv4, nk.Outside.Ipv6);
        Programs.AwaitLine(_server, "ready");
    }

    /// <summary>programs/names.c.</summary>
    public string Program { get; }

    /// <summary>What the server has been asked.</summary>
    public string Log => _server.Output;

    /// <summary>What the last program in the guest has asked about a name.</summary>
    public string[] GuestLog(string name) => [.. Log[_logged..].Split('\n').Where(line => line.Contains(name, StringComparison.Ordinal))];

    public CommandResult InGuest(string[] command)
    {
        _logged = Log.Length;
        return _nk.Run(_guest, Time, command);
    }

    /// <summary>The same outside, with the same resolv.conf.</summary>
    public CommandResult Natively(string[] command) =>
        _nk.Outside.Run(Time, ["unshare", "-m", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"", _file, .. command]);

    /// <summary>Runs a program both ways; what it prints (of the lines that count) and its exit code must be the same.</summary>
    public void Same(string[] command, Func<string, bool>? counts = null) => AssertSame(Natively(command), InGuest(command), counts);

    /// <summary>The same for programs that wait for long, both at a time: <see cref="GuestLog"/> then has the questions of both.</summary>
    public void SameAtOnce(string[] command, Func<string, bool>? counts = null)
    {
        Task<CommandResult> native = Task.Run(() => Natively(command));
        CommandResult guest = InGuest(command);
        AssertSame(native.GetAwaiter().GetResult(), guest, counts);
    }

    private static void AssertSame(CommandResult native, CommandResult guest, Func<string, bool>? counts)
    {
        Assert.False(native.TimedOut || guest.TimedOut, $"{native}\n{guest}");
        Assert.Equal(Lines(native.Output), Lines(guest.Output));
        Assert.Equal(native.Error, guest.Error);
        Assert.Equal(native.ExitCode, guest.ExitCode);

        string[] Lines(string text) => [.. text.Split('\n').Where(counts ?? (_ => true))];
    }

    public void Dispose()
    {
        _server.Dispose();
        Assert.Equal(0, _nk.Nk("guest", "delete", "--force", _guest).ExitCode);
    }
}
