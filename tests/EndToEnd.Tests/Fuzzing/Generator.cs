using System.Globalization;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>
/// Makes a script from a seed. It keeps a rough picture of which fds there are and which are connected, so that most steps make sense; where
/// the picture is wrong the step gets an error, the same on both sides. What it avoids is what may differ: more unread bytes or sends than
/// every stack must hold, and waiting for nothing with a timeout.
/// </summary>
internal sealed partial class Generator
{
    private const int MostUnreadBytes = 30_000, MostUnreadSends = 20, MostSize = 16_385;

    private readonly Random _random;
    private readonly bool _isAboutDatagrams;
    private readonly List<Step> _steps = [];
    private readonly List<Process> _processes = [];
    private readonly List<Fd> _fds = [];
    private int _names;

    private Generator(int seed) => (_random, _isAboutDatagrams) = (new Random(seed), seed % 4 == 1);

    private enum Kind
    {
        Fresh,
        Listener,
        Connected,
        Datagram,
        Epoll,
        Pipe,
        Closed,
    }

    /// <summary>The script of a seed.</summary>
    public static Script Make(int seed)
    {
        var generator = new Generator(seed);
        generator.Build();
        return new Script(generator._steps);
    }

    private void Build()
    {
        Start("A");
        Start("B");
        if (Chance(30))
        {
            Start(Pick("A", "B"));
        }

        int length = _random.Next(10, 45);
        for (int openings = _random.Next(0, 3); openings > 0; openings--)
        {
            if (_isAboutDatagrams)
            {
                OpenDatagram();
            }
            else
            {
                Open();
            }
        }

        while (_steps.Count < length)
        {
            Move();
        }
    }

    private void Start(string host)
    {
        var process = new Process(string.Create(CultureInfo.InvariantCulture, $"p{_processes.Count}"), host);
        _processes.Add(process);
        Add(process, "start", host);
    }

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Pick<T>(params IReadOnlyList<T> choices) => choices[_random.Next(choices.Count)];

    private string Number(int from, int to) => _random.Next(from, to).ToString(CultureInfo.InvariantCulture);

    private void Add(Process process, string call, params string[] arguments) => _steps.Add(new Step(process.Name, _random.Next(2), call, arguments));

    /// <summary>The same, without a look at everything before the next step.</summary>
    private void AddQuiet(Process process, string call, params string[] arguments) =>
        _steps.Add(new Step(process.Name, 0, call, arguments, Chance(80)));

    private Process AnyProcess() => Pick(_processes.Where(process => process.Alive).ToList());

    /// <summary>A process that holds an fd of that kind, and the fd.</summary>
    private (Process Process, Fd Fd)? Holder(Func<Fd, bool> wanted)
    {
        List<(Process, Fd)> all = [.. _processes.Where(process => process.Alive).SelectMany(process => process.Fds.Where(wanted).Select(fd => (process, fd)))];
        return all.Count == 0 ? null : Pick(all);
    }

    private Fd NewFd(Process process, Kind kind, int family)
    {
        var fd = new Fd(string.Create(CultureInfo.InvariantCulture, $"s{++_names}"), kind, family, process.Host);
        _fds.Add(fd);
        process.Fds.Add(fd);
        return fd;
    }

    private string Flags(int percent, params string[] flags)
    {
        string[] chosen = [.. flags.Where(_ => Chance(percent))];
        return chosen.Length == 0 ? "-" : string.Join('+', chosen);
    }

    private string Size() => Pick("0", "1", "2", "7", "100", "1000", "1448", "2047", "2048", "4096", "5000", "16384", "16385");

    private string Port() => Chance(10) ? "0" : "P" + Number(0, 8);

    private string Address(int family, string own)
    {
        string host = Pick("any", "any", own, own, "lo", own == "A" ? "B" : "A");
        return family == 4 ? $"4/{host}/{Port()}" : Chance(15) ? $"6/m:{host}/{Port()}" : $"6/{host}/{Port()}";
    }

    /// <summary>Whoever the generator believes to own a port that is connected or sent to from a host; "lo" is that host.</summary>
    private Fd? Owner(Kind kind, string from, string host, string port) => _fds.Find(fd =>
        fd.Kind == kind && fd.Host == (host == "lo" ? from : host) && fd.Bound.EndsWith("/" + port, StringComparison.Ordinal));

    private sealed class Process(string name, string host)
    {
        public string Name => name;

        public string Host => host;

        public bool Alive { get; set; } = true;

        public List<Fd> Fds { get; } = [];
    }

    /// <summary>What the generator believes of an fd. Processes that share a socket share this.</summary>
    private sealed class Fd(string name, Kind kind, int family, string host)
    {
        public string Name => name;

        public Kind Kind { get; set; } = kind;

        public int Family => family;

        public string Host => host;

        /// <summary>A listener's address as its own host writes it.</summary>
        public string Bound { get; set; } = "";

        public Fd? Peer { get; set; }

        /// <summary>What the peer has sent and nobody has read.</summary>
        public int UnreadBytes { get; set; }

        public int UnreadSends { get; set; }

        /// <summary>A datagram socket has had a peer on its own host, or on the other: it keeps to that side.</summary>
        public bool? PeerIsLocal { get; set; }

        /// <summary>A datagram socket's own address is ::1, by bind or by its peer's: from there nothing reaches the world (docs/fuzzing.md).</summary>
        public bool IsOnLoopback6 { get; set; }

        /// <summary>Connections that may wait at a listener came from its own host, or from the other: which of both kinds accept takes first is not promised.</summary>
        public bool? WaitsLocal { get; set; }

        /// <summary>What is unread in a datagram socket came from its own host.</summary>
        public bool UnreadIsLocal { get; set; }

        public bool IsSocket => Kind is not (Kind.Epoll or Kind.Pipe or Kind.Closed);
    }
}
