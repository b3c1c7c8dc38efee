using System.Globalization;
using System.Net.Sockets;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>One of the two hosts of a stage: where processes are forked, and its addresses.</summary>
internal sealed record StageHost(ActorLink Nursery, string Ipv4, string Ipv6);

/// <summary>
/// Two hosts, A and B, on which scripts are run: both native (the oracle), or one or both guests of NetKernel. Processes are forked from a
/// nursery per host that has made no socket yet, since starting Python for each would take longer than the script.
/// </summary>
/// <param name="name">For messages.</param>
/// <param name="listener">Where the agents connect.</param>
/// <param name="a">Host A.</param>
/// <param name="b">Host B.</param>
/// <param name="knows">Whether a process that has ended is still being tidied up after; null: the kernel has, by the time that it is gone.</param>
internal sealed class Stage(string name, StageListener listener, StageHost a, StageHost b, Func<int, bool>? knows = null)
{
    private int _runs;

    /// <summary>For messages.</summary>
    public string Name => name;

    /// <summary>Whether nothing is left of a process that has ended.</summary>
    public bool IsTidy(int pid) => knows?.Invoke(pid) != true;

    /// <summary>A number for a new run: its ports and process names are its own.</summary>
    public int NextRun() => ++_runs;

    /// <summary>The first of the eight ports P0 to P7 of a run, below the ephemeral ones.</summary>
    public static int PortsOf(int run) => 10_000 + (run * 8 % 20_000);

    /// <summary>Starts a process on host A or B.</summary>
    public ActorLink Spawn(int run, string actor, string host)
    {
        string unique = Unique(run, actor);
        (host == "A" ? a : b).Nursery.Tell(string.Create(
            CultureInfo.InvariantCulture, $"spawn {unique} A4={a.Ipv4} A6={a.Ipv6} B4={b.Ipv4} B6={b.Ipv6} ports={PortsOf(run)}"));
        return listener.Await(unique) ?? throw new IOException($"no {unique} on {name}");
    }

    /// <summary>The link of a process that an actor has forked; null when it does not come.</summary>
    public ActorLink? Forked(int run, string actor) => listener.Await(Unique(run, actor));

    /// <summary>An actor's name among those of all runs.</summary>
    public string Unique(int run, string actor) => string.Create(CultureInfo.InvariantCulture, $"{name}-{run}-{actor}");
}

/// <summary>Where agents of all stages connect.</summary>
internal sealed class StageListener : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly Dictionary<string, ActorLink> _waiting = [];

    public StageListener(string folder)
    {
        Path = System.IO.Path.Combine(folder, "fuzz.sock");
        _socket.Bind(new UnixDomainSocketEndPoint(Path));
        _socket.Listen(64);
    }

    /// <summary>What the agents connect to.</summary>
    public string Path { get; }

    /// <summary>How an agent is started as the nursery of a host.</summary>
    public string[] Command(string host) => ["python3", Programs.Path("fuzz_agent.py"), Path, host];

    /// <summary>The agent of a name; null when it does not come within 20 seconds.</summary>
    public ActorLink? Await(string name)
    {
        ActorLink? link;
        while (!_waiting.Remove(name, out link) && _socket.Poll(20_000_000, SelectMode.SelectRead))
        {
            var came = new ActorLink(_socket.Accept());
            _waiting[came.Name] = came;
        }

        return link;
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
