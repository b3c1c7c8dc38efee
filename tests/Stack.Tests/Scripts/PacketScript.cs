using System.Buffers.Binary;
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
/// TIME is +seconds since the line before. Numbers are relative to each side's initial one. FLAGS are letters of FSRPAEC ("." alone: ACK). P is ignored in what is expected.
/// </summary>
internal sealed unsafe class PacketScript : IDisposable
{
    private const long Tolerance = 3_000;
    private const ushort PeerPort = 5555;
    private readonly Simulation _sim = new(1);
    private readonly Host _host;
    private readonly Queue<(long Time, byte[] Frame)> _sent = new();
    private readonly Address _peer = Host.Parse("198.18.0.2");
    private Conn? _listener, _conn;
    private uint? _iss;
    private uint _peerIss = 1_000_000;
    private ushort _port = 80;
    private uint _lastTs;
    private long _at;
    private bool _asked;

    private PacketScript(StackOptions? options)
    {
        _host = _sim.Add("198.18.0.1", "2001:2::1", options);
        _host.Impairment = new Impairment
        {
            Drop = f =>
            {
                if (f[12] == 8 && f[13] == 0)
                {
                    _sent.Enqueue((_sim.Now, f));
                }

                _asked |= f[12] == 8 && f[13] == 6;
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
        Introduce();
        _at = _sim.Now;
    }

    /// <summary>Runs a script; the message of a failure says which line.</summary>
    public static void Run(string script, StackOptions? options = null)
    {
        using PacketScript run = new(options);
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

    private void Introduce()
    {
        byte[] arp = new byte[42];
        Convert.FromHexString("020000000001").CopyTo(arp, 0);
        Convert.FromHexString("0200000000020806000108000604000102000000000200000000").CopyTo(arp, 6);
        fixed (byte* p = arp)
        {
            NetworkStack.PutMac(p, _host.Mac);
            _ = Wire.Put(p + 14 + Field.ArpSenderIp, _peer);
            _ = Wire.Put(p + 14 + Field.ArpTargetIp, _host.Address4);
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
                Send(words[1..]);
                return;
            case "none":
                Assert.True(_sent.Count == 0, $"sent {string.Join("; ", _sent.Select(s => Describe.Frame(s.Frame)))}");
                return;
            case "listen":
                _port = ushort.Parse(words[1], CultureInfo.InvariantCulture);
                _listener = _host.Listen(_port, backlog: words.Length > 2 ? uint.Parse(words[2], CultureInfo.InvariantCulture) : 128);
                return;
            case "connect":
                _conn = _host.NewSocket();
                Assert.Equal(0, _host.Tcp.Connect(_conn.Tcb, _host.Address4, _peer, PeerPort));
                _port = _conn.Tcb->LocalPort;
                break;
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
            case "keepalive":
                _conn!.Tcb->KeepIdle = 10;
                _conn.Tcb->KeepInterval = 5;
                _conn.Tcb->KeepCount = 3;
                _host.Tcp.SetKeepAlive(_conn.Tcb, true);
                break;
            case "usertimeout":
                _conn!.Tcb->UserTimeout = uint.Parse(words[1], CultureInfo.InvariantCulture);
                break;
            case "cwnd":
                Assert.Equal(uint.Parse(words[1], CultureInfo.InvariantCulture), _conn!.Tcb->Cwnd / _conn.Tcb->Mss);
                return;
            default:
                Assert.Fail($"unknown: {words[0]}");
                return;
        }

        _host.Stack.Flush();
    }

    private static byte FlagsOf(string text)
    {
        byte flags = 0;
        foreach (char c in text)
        {
            flags |= c switch
            {
                'F' => TcpFlag.Fin,
                'S' => TcpFlag.Syn,
                'R' => TcpFlag.Rst,
                'P' => TcpFlag.Psh,
                'A' or '.' => TcpFlag.Ack,
                'E' => TcpFlag.Ece,
                'C' => TcpFlag.Cwr,
                _ => throw new FormatException($"no flag {c}"),
            };
        }

        return flags;
    }

    private void Send(string[] words)
    {
        byte[] f = new byte[14 + 20 + 60 + 65536];
        uint Number(string text) => uint.Parse(text, CultureInfo.InvariantCulture);
        int length = int.Parse(words[1].Split(':')[1], CultureInfo.InvariantCulture);
        byte flags = FlagsOf(words[0]);
        int seq = int.Parse(words[1].Split(':')[0], CultureInfo.InvariantCulture);
        uint ack = 0, win = 65535;
        byte tos = 0;
        List<byte> options = [];
        void Option(params byte[] bytes) => options.AddRange(bytes);
        byte[] Big(uint v)
        {
            byte[] b = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(b, v);
            return b;
        }

        for (int i = 2; i < words.Length; i++)
        {
            switch (words[i])
            {
                case "ack":
                    ack = (_iss ?? 0) + (uint)int.Parse(words[++i], CultureInfo.InvariantCulture);
                    break;
                case "win":
                    win = Number(words[++i]);
                    break;
                case "mss":
                    uint mss = Number(words[++i]);
                    Option(2, 4, (byte)(mss >> 8), (byte)mss);
                    break;
                case "ws":
                    Option(1, 3, 3, (byte)Number(words[++i]));
                    break;
                case "sackok":
                    Option(1, 1, 4, 2);
                    break;
                case "ts":
                    Option([1, 1, 8, 10, .. Big(Number(words[i + 1])), .. Big(words[i + 2] == "last" ? _lastTs : Number(words[i + 2]))]);
                    i += 2;
                    break;
                case "ce":
                    tos = 3;
                    break;
                case "sack":
                    List<byte> blocks = [];
                    while (i + 1 < words.Length && words[i + 1].Contains('-'))
                    {
                        string[] edge = words[++i].Split('-');
                        blocks.AddRange(Big(_iss!.Value + Number(edge[0])));
                        blocks.AddRange(Big(_iss!.Value + Number(edge[1])));
                    }

                    Option([1, 1, 5, (byte)(2 + blocks.Count), .. blocks]);
                    break;
                default:
                    throw new FormatException($"unknown: {words[i]}");
            }
        }

        int header = 20 + options.Count;
        fixed (byte* p = f)
        {
            NetworkStack.PutMac(p, _host.Mac);
            NetworkStack.PutMac(p + 6, 0x020000000002);
            Wire.U16(p + 12, 0x0800);
            byte* ip = p + 14;
            ip[0] = 0x45;
            ip[1] = tos;
            Wire.U16(ip + 2, (uint)(20 + header + length));
            ip[8] = 64;
            ip[9] = 6;
            _ = Wire.Put(ip + 12, _peer);
            _ = Wire.Put(ip + 16, _host.Address4);
            *(ushort*)(ip + 10) = Checksum.Finish(Checksum.Sum(ip, 20));
            byte* tcp = ip + 20;
            Wire.U16(tcp, PeerPort);
            Wire.U16(tcp + 2, _port);
            Wire.U32(tcp + 4, _peerIss + (uint)seq);
            Wire.U32(tcp + 8, ack);
            tcp[12] = (byte)(header << 2);
            tcp[13] = flags;
            Wire.U16(tcp + 14, win);
            for (int i = 0; i < options.Count; i++)
            {
                tcp[20 + i] = options[i];
            }
        }

        _sim.Inject(_host, f[..(34 + header + length)], good: true);
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
        fixed (byte* p = f)
        {
            TcpSegment s = default;
            byte* ip = p + 14;
            Assert.True(Checksum.Sum(ip, 20) == 0xFFFF, "IP checksum");
            Assert.True(TcpSegment.TryParse(ip + 20, Wire.U16(ip + 2) - 20u, ref s, out DropReason reason), $"{reason}");
            Packet packet = new() { Source = Wire.V4(ip + 12), Destination = Wire.V4(ip + 16) };
            Assert.True(NetworkStack.HasGoodChecksum(6, ip + 20, Wire.U16(ip + 2) - 20u, in packet), "TCP checksum");
            if (s.Has(TcpFlag.Syn))
            {
                _iss = s.Seq;
            }

            _lastTs = s.HasTimestamp ? s.TsValue : _lastTs;
            byte flags = FlagsOf(words[0]);
            Assert.True((s.Flags & ~TcpFlag.Psh) == (flags & ~TcpFlag.Psh), $"flags: {Describe.Frame(f)}");
            string[] range = words[1].Split(':');
            if (range[0] != "*")
            {
                Assert.True(s.Seq - (_iss ?? 0) == (uint)int.Parse(range[0], CultureInfo.InvariantCulture), $"seq {(int)(s.Seq - (_iss ?? 0))}: {Describe.Frame(f)}");
            }

            Assert.True(s.Length == int.Parse(range[1], CultureInfo.InvariantCulture), $"length {s.Length}");
            for (int i = 2; i < words.Length; i++)
            {
                switch (words[i])
                {
                    case "ack":
                        Assert.True(s.Ack - _peerIss == uint.Parse(words[++i], CultureInfo.InvariantCulture), $"ack {(int)(s.Ack - _peerIss)}");
                        break;
                    case "win":
                        Assert.Equal(words[++i], s.Window.ToString(CultureInfo.InvariantCulture));
                        break;
                    case "mss":
                        Assert.Equal(words[++i], s.Mss.ToString(CultureInfo.InvariantCulture));
                        break;
                    case "ws":
                        Assert.Equal(words[++i], s.WindowScale.ToString(CultureInfo.InvariantCulture));
                        break;
                    case "nows":
                        Assert.Equal(-1, s.WindowScale);
                        break;
                    case "sackok":
                        Assert.True(s.SackPermitted);
                        break;
                    case "nosack":
                        Assert.True(!s.SackPermitted && s.SackCount == 0, "SACK");
                        break;
                    case "ts":
                        Assert.True(s.HasTimestamp, "no timestamp");
                        if (i + 1 < words.Length && char.IsDigit(words[i + 1][0]))
                        {
                            Assert.Equal(words[++i], s.TsEcho.ToString(CultureInfo.InvariantCulture));
                        }

                        break;
                    case "nots":
                        Assert.False(s.HasTimestamp);
                        break;
                    case "ect":
                        Assert.Equal(2, ip[1] & 3);
                        break;
                    case "noect":
                        Assert.Equal(0, ip[1] & 3);
                        break;
                    case "sack":
                        List<string> found = [];
                        for (int k = 0; k < s.SackCount; k++)
                        {
                            found.Add($"{s.Sacks[2 * k] - _peerIss}-{s.Sacks[(2 * k) + 1] - _peerIss}");
                        }

                        Assert.Equal(string.Join(' ', words[(i + 1)..]), string.Join(' ', found));
                        i = words.Length;
                        break;
                    default:
                        throw new FormatException($"unknown: {words[i]}");
                }
            }
        }
    }
}
