using System.Globalization;

namespace NetKernel.Stack.Tests;

/// <summary>
/// Plays one peer of a stack from a script: what it sends, what the stack must send and when, and what the program on the stack does in between. One line each:
/// <code>
/// TIME listen PORT | connect | accept | acceptable N | write N [more] | read N | pull | shutdown | close | abort | state NAME | error N | mss N | defer SECONDS | nodelay | cork | uncork | quickack
/// TIME &lt; FLAGS SEQ:LENGTH [ack N] [win N] [mss N] [ws N] [sackok] [ts VALUE ECHO] [sack A-B ...] [ce]      the peer sends
/// TIME &gt; FLAGS SEQ:LENGTH [ack N] [win N] [mss N] [ws N] [sackok] [ts] [sack A-B ...] [dev MS]               the stack must have sent, at that time
/// TIME none                                                                                                  nothing was sent since
/// </code>
/// TIME fastopen N | connectfast | early N | peer PORT | keepts | toobig MTU SEQ                                 Fast Open; the peer's port; a timestamp for later; a router speaks
/// TIME iss keep|later|clock MICROSECONDS|another | pace BYTES | buffer N | dropped REASON N                     initial numbers; bytes per second; the receive buffer's least size; a counter
/// The first line may be "ipv6". TIME is +seconds since the line before. Numbers are relative to each side's initial one. FLAGS are letters of FSRPAEC ("." alone: ACK). P is ignored in what is expected.
/// </summary>
internal sealed unsafe class PacketScript : IDisposable
{
    private const long Tolerance = 3_000;

    [ThreadStatic]
    private static Action<string, StackOptions?>? _instead;

    private readonly Simulation _sim = new(1);
    private readonly Host _host;
    private readonly Queue<(long Time, byte[] Frame)> _sent = new();
    private readonly bool _v6;
    private readonly Address _local, _peer;
    private readonly ScriptSegments _segments;
    private Conn? _listener, _conn;
    private long _at;
    private bool _asked;

    private PacketScript(StackOptions? options, bool v6)
    {
        _v6 = v6;
        _host = _sim.Add("198.18.0.1", "2001:2::1", options);
        _host.Impairment = new Impairment
        {
            Drop = f =>
            {
                if (IsSegment(f, v6))
                {
                    _sent.Enqueue((_sim.Now, f));
                }

                _asked |= v6 ? f[12] == 0x86 && f[20] == Protocol.Icmpv6 && f[54] == Icmpv6Type.Solicitation : f[12] == 8 && f[13] == 6;
                return true;
            },
        };
        _sim.AfterStep = () =>
        {
            if (_asked)
            {
                _asked = false;
                Introduce();
            }
        };
        _ = _sim.Add("198.18.0.2", "2001:2::2");
        _local = v6 ? _host.Address6 : _host.Address4;
        _peer = Host.Parse(v6 ? "2001:2::2" : "198.18.0.2");
        _segments = new ScriptSegments(_host.Mac, _local, _peer);
        Introduce();
        _at = _sim.Now;
    }

    /// <summary>Takes scripts of this thread instead of their being run; null: they are run.</summary>
    public static Action<string, StackOptions?>? Instead
    {
        get => _instead;
        set => _instead = value;
    }

    /// <summary>Runs a script; the message of a failure says which line.</summary>
    public static void Run(string script, StackOptions? options = null)
    {
        if (_instead is { } instead)
        {
            instead(script, options);
            return;
        }

        using PacketScript run = new(options, IsIpv6(ref script));
        int number = 0;
        foreach (string raw in script.Split('\n'))
        {
            number++;
            string line = raw.Split('#')[0].Trim();
            if (line.Length == 0)
            {
                continue;
            }

            try
            {
                string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
                Assert.StartsWith("+", words[0]);
                run.Line((long)(double.Parse(words[0][1..], CultureInfo.InvariantCulture) * 1e6), words[1..]);
            }
            catch (Exception e)
            {
                Assert.Fail($"line {number}: {line}\n{e.Message}\nthe last frames:\n{Describe.Tail(run._sim, 8)}");
            }
        }
    }

    public void Dispose() => _sim.Dispose();

    /// <summary>Whether a script's first line says so; that line is made empty.</summary>
    public static bool IsIpv6(ref string script)
    {
        const string First = "ipv6";
        bool v6 = script.StartsWith(First, StringComparison.Ordinal);
        script = v6 ? script[First.Length..] : script;
        return v6;
    }

    /// <summary>A TCP segment of that family.</summary>
    public static bool IsSegment(ReadOnlySpan<byte> f, bool v6) =>
        f.Length >= 54 && (v6 ? f[12] == 0x86 && f[13] == 0xDD && f[20] == Protocol.Tcp : f[12] == 8 && f[13] == 0 && f[23] == Protocol.Tcp);

    private void Introduce()
    {
        if (_v6)
        {
            _sim.Inject(_host, _segments.Solicitation(), good: true);
            return;
        }

        byte[] arp = new byte[42];
        Convert.FromHexString("020000000001").CopyTo(arp, 0);
        Convert.FromHexString("0200000000020806000108000604000102000000000200000000").CopyTo(arp, 6);
        fixed (byte* p = arp)
        {
            NetworkStack.PutMac(p, _host.Mac);
            _ = Wire.Put(p + 14 + Field.ArpSenderIp, _peer);
            _ = Wire.Put(p + 14 + Field.ArpTargetIp, _local);
        }

        _sim.Inject(_host, arp);
    }

    private void Line(long delay, string[] words)
    {
        if (words[0] == ">")
        {
            Expect(delay, words[1..]);
            return;
        }

        _at += delay;
        _sim.Pass(Math.Max(0, _at - _sim.Now));
        switch (words[0])
        {
            case "<":
                _sim.Inject(_host, _segments.Build(words[1..]), good: true);
                return;
            case "none":
                Assert.True(_sent.Count == 0, $"sent {string.Join("; ", _sent.Select(s => Describe.Frame(s.Frame)))}");
                return;
            case "listen":
                _segments.Port = ushort.Parse(words[1], CultureInfo.InvariantCulture);
                _listener = _host.Listen(_segments.Port, _v6, backlog: words.Length > 2 ? uint.Parse(words[2], CultureInfo.InvariantCulture) : 128);
                return;
            case "connect":
                _conn = _host.NewSocket();
                Assert.Equal(0, _host.Tcp.Connect(_conn.Tcb, _local, _peer, _segments.PeerPort));
                _segments.Port = _conn.Tcb->LocalPort;
                break;
            case "connectfast":
                _conn = _host.NewSocket();
                Assert.Equal(0, _host.Tcp.ConnectFast(_conn.Tcb, _local, _peer, _segments.PeerPort));
                _segments.Port = _conn.Tcb->LocalPort;
                break;
            case "fastopen":
                _listener!.Tcb->FastOpenMost = ushort.Parse(words[1], CultureInfo.InvariantCulture);
                return;
            case "early":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture), _host.Tcp.EarlyConnections);
                return;
            case "peer":
                _segments.PeerPort = ushort.Parse(words[1], CultureInfo.InvariantCulture);
                return;
            case "keepts":
                _segments.KeepTimestamp();
                return;
            case "toobig":
                _sim.Inject(_host, _segments.TooBig(uint.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[2], CultureInfo.InvariantCulture)), good: true);
                return;
            case "accept":
                _conn = _host.Accept(_listener!);
                Assert.NotNull(_conn);
                break;
            case "write":
                Assert.Equal(int.Parse(words[1], CultureInfo.InvariantCulture), _conn!.Write(new byte[int.Parse(words[1], CultureInfo.InvariantCulture)], words.Length > 2));
                break;
            case "read":
                Assert.Equal(int.Parse(words[1], CultureInfo.InvariantCulture), _conn!.Received.Count);
                _conn.Received.Clear();
                return;
            case "appetite":
                _conn!.Appetite = long.Parse(words[1], CultureInfo.InvariantCulture);
                return;
            case "pull":
                _conn!.Appetite = long.MaxValue;
                _host.Tcp.Pull(_conn.Tcb);
                break;
            case "shutdown":
                _conn!.Shutdown();
                break;
            case "close":
                _conn!.Close();
                break;
            case "abort":
                _conn!.Abort();
                break;
            case "state":
                Assert.Equal(words[1], _conn!.State.ToString());
                return;
            case "error":
                Assert.Equal(int.Parse(words[1], CultureInfo.InvariantCulture), _conn!.Tcb->Error);
                return;
            case "count":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture), _host.Tcp.Count);
                return;
            case "acceptable":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture), _listener!.Tcb->Acceptable);
                return;
            case "defer":
                TcpLayer.SetDeferAccept(_listener!.Tcb, int.Parse(words[1], CultureInfo.InvariantCulture));
                break;
            case "nodelay":
                _host.Tcp.SetNoDelay(_conn!.Tcb, true);
                break;
            case "cork":
                _host.Tcp.SetCork(_conn!.Tcb, true);
                break;
            case "uncork":
                _host.Tcp.SetCork(_conn!.Tcb, false);
                break;
            case "quickack":
                _host.Tcp.SetQuickAck(_conn!.Tcb, true);
                break;
            case "pace":
                _conn!.Tcb->MaxPacingRate = ulong.Parse(words[1], CultureInfo.InvariantCulture);
                break;
            case "iss":
                _segments.Initial(words[1..]);
                return;
            case "buffer":
                Assert.InRange(_host.Tcp.ReceiveBufferOf(_conn!.Tcb), uint.Parse(words[1], CultureInfo.InvariantCulture), uint.MaxValue);
                return;
            case "dropped":
                Assert.Equal(ulong.Parse(words[2], CultureInfo.InvariantCulture), _host.Stack.Counters.Dropped(Enum.Parse<DropReason>(words[1])));
                return;
            case "keepalive":
                _conn!.Tcb->KeepIdle = 10;
                _conn.Tcb->KeepInterval = 5;
                _conn.Tcb->KeepCount = 3;
                _host.Tcp.SetKeepAlive(_conn.Tcb, true);
                break;
            case "keepidle":
                _host.Tcp.SetKeepIdle(_conn!.Tcb, uint.Parse(words[1], CultureInfo.InvariantCulture));
                break;
            case "usertimeout":
                _conn!.Tcb->UserTimeout = uint.Parse(words[1], CultureInfo.InvariantCulture);
                break;
            case "atleast":
                Assert.True(_conn!.Tcb->Cwnd / _conn.Tcb->Mss >= uint.Parse(words[1], CultureInfo.InvariantCulture), $"cwnd {_conn.Tcb->Cwnd / _conn.Tcb->Mss}");
                return;
            case "cwnd":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture), _conn!.Tcb->Cwnd / _conn.Tcb->Mss);
                return;
            default:
                Assert.Fail($"unknown: {words[0]}");
                return;
        }

        _host.Stack.Flush();
    }

    private void Expect(long delay, string[] words)
    {
        long due = _at + delay;
        if (_sent.Count == 0 && delay != 0)
        {
            _sim.Pass(Math.Max(0, due - Tolerance - _sim.Now));
            Assert.True(_sent.Count == 0, $"too early: {(_sent.Count > 0 ? $"{_sent.Peek().Time - due} us, {Describe.Frame(_sent.Peek().Frame)}" : "")}");
            _sim.Pass(due + Tolerance - _sim.Now);
        }

        Assert.True(_sent.Count > 0, "nothing was sent");
        (long time, byte[] f) = _sent.Dequeue();
        Assert.InRange(time, due - Tolerance, due + (2 * Tolerance));
        _at = Math.Max(_at, time);
        _segments.Check(f, words);
    }
}
