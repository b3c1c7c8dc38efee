using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace NetKernel.Stack.Tests;

/// <summary>
/// Plays a packet script against Linux's TCP as the oracle. The peer's segments come at the script's times; what the kernel sends is held to the script's segments and their order, but not to
/// the time, which a loaded machine does not keep. Words that ask for what only our stack has end the run.
/// </summary>
internal sealed unsafe class KernelScript : IDisposable
{
    private const int Patience = 3_000, SolTcp = 6, TcpInfo = 11;
    private readonly IPAddress _local, _peer;
    private readonly KernelTap _tap;
    private readonly ScriptSegments _segments;
    private readonly string _congestion;
    private readonly List<Socket> _sockets = [];
    private readonly List<string> _seen = [];
    private Socket? _listener, _conn;
    private int _pulled;

    private KernelScript(string congestion, bool v6)
    {
        _congestion = congestion;
        _tap = new KernelTap(v6);
        _local = IPAddress.Parse(_tap.Kernel);
        _peer = IPAddress.Parse(_tap.Peer);
        _segments = new ScriptSegments(_tap.Mac, Host.Parse(_tap.Kernel), Host.Parse(_tap.Peer)) { ChecksWindows = false };
    }

    /// <summary>What went otherwise than the script says; null: nothing.</summary>
    public static string? Run(string script, StackOptions? options)
    {
        string? result = null;
        Thread thread = new(() =>
        {
            try
            {
                using KernelScript run = new(options?.Congestion.Name ?? "cubic", PacketScript.IsIpv6(ref script));
                result = run.Play(script);
            }
            catch (Exception e)
            {
                result = e.ToString();
            }
        });
        thread.Start();
        thread.Join();
        return result;
    }

    public void Dispose()
    {
        _sockets.ForEach(socket => socket.Dispose());
        _tap.Dispose();
    }

    private string? Play(string script)
    {
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
                Line(double.Parse(words[0][1..], CultureInfo.InvariantCulture), words[1..]);
            }
            catch (Exception e)
            {
                return $"line {number}: {line}: {e.Message.ReplaceLineEndings(" ")}\n  {string.Join("\n  ", _seen.TakeLast(6))}";
            }
        }

        return null;
    }

    private void Line(double delay, string[] words)
    {
        if (words[0] == ">")
        {
            byte[] frame = _tap.Next((int)(delay * 1000) + Patience) ?? throw new InvalidOperationException("nothing was sent");
            _seen.Add(Describe.Frame(frame));
            _segments.Check(frame, words[1..]);
            return;
        }

        if (delay > 20)
        {
            throw new NotSupportedException("too long for a real clock");
        }

        Thread.Sleep((int)(delay * 1000)); // The script's time, which here is the real one.
        switch (words[0])
        {
            case "<":
                _tap.Inject(_segments.Build(words[1..]));
                break;
            case "toobig":
                _tap.Inject(_segments.TooBig(uint.Parse(words[1], CultureInfo.InvariantCulture), Number(words[2])));
                break;
            case "peer":
                _segments.PeerPort = (ushort)Number(words[1]);
                break;
            case "keepts":
                _segments.KeepTimestamp();
                break;
            case "none":
                break; // What comes too early is found when the next segment is looked at, and is another one.
            default:
                Call(words);
                break;
        }
    }

    private void Call(string[] words)
    {
        switch (words[0])
        {
            case "listen":
                _segments.Port = (ushort)Number(words[1]);
                _listener = Make();
                _listener.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                _listener.Bind(new IPEndPoint(_local, _segments.Port));
                _listener.Listen(words.Length > 2 ? Number(words[2]) : 128);
                break;
            case "defer":
                Set(_listener!, 9, Number(words[1]));
                break;
            case "acceptable":
                Assert.Equal(Number(words[1]) != 0, _listener!.Poll(Number(words[1]) != 0 ? Patience * 1000 : 0, SelectMode.SelectRead));
                break;
            case "fastopen":
                Set(_listener!, 23, Number(words[1]));
                break;
            case "connect" or "connectfast":
                _conn = Make();
                _conn.Bind(new IPEndPoint(_local, 0));
                _segments.Port = (ushort)((IPEndPoint)_conn.LocalEndPoint!).Port;
                _conn.Blocking = false;
                if (words[0] == "connectfast")
                {
                    Set(_conn, 30, 1);
                }

                try
                {
                    _conn.Connect(_peer, _segments.PeerPort);
                }
                catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
                {
                    // As it should be.
                }

                break;
            case "early" or "count" or "dropped":
                break; // The kernel does not tell.
            case "iss":
                _segments.Initial(words[1..]);
                break;
            case "quickack":
                Set(_conn!, 12, 1);
                break;
            case "pace":
                _conn!.SetRawSocketOption(1, 47, BitConverter.GetBytes(Number(words[1])));
                break;
            case "buffer":
                Settle(() => Buffer() >= Number(words[1]));
                Assert.InRange(Buffer(), Number(words[1]), int.MaxValue);
                break;
            case "accept":
                Assert.True(_listener!.Poll(Patience * 1000, SelectMode.SelectRead), "nobody to accept");
                _conn = _listener.Accept();
                _conn.Blocking = false;
                _sockets.Add(_conn);
                break;
            case "write":
                Assert.Equal(Number(words[1]), _conn!.Send(new byte[Number(words[1])], words.Length > 2 ? (SocketFlags)0x8000 : SocketFlags.None));
                break;
            case "pull":
                _pulled += ReadAll();
                break;
            case "read":
                int got = _pulled + ReadAll();
                for (long end = Environment.TickCount64 + Patience; got < Number(words[1]) && Environment.TickCount64 < end; got += ReadAll())
                {
                    _ = _conn!.Poll(10_000, SelectMode.SelectRead);
                }

                Assert.Equal(Number(words[1]), got);
                _pulled = 0;
                break;
            case "appetite":
                break;
            case "shutdown":
                _conn!.Shutdown(SocketShutdown.Send);
                break;
            case "close":
                _conn!.Close();
                break;
            case "abort":
                _conn!.LingerState = new LingerOption(true, 0);
                _conn.Close();
                break;
            case "state":
                TcpState wanted = Enum.Parse<TcpState>(words[1]);
                Settle(() => (TcpState)Info()[0] == wanted);
                Assert.Equal(wanted, (TcpState)Info()[0]);
                break;
            case "error":
                Assert.Equal(Number(words[1]), Error());
                break;
            case "nodelay":
                Set(_conn!, 1, 1);
                break;
            case "cork":
                Set(_conn!, 3, 1);
                break;
            case "uncork":
                Set(_conn!, 3, 0);
                break;
            case "usertimeout":
                Set(_conn!, 18, Number(words[1]));
                break;
            case "cwnd":
                Settle(() => Window() == Number(words[1]));
                Assert.Equal(Number(words[1]), Window());
                break;
            case "atleast":
                Settle(() => Window() >= Number(words[1]));
                Assert.True(Window() >= Number(words[1]), $"cwnd {Window()}");
                break;
            default:
                throw new NotSupportedException(words[0]);
        }
    }

    private static int Number(string text) => int.Parse(text, CultureInfo.InvariantCulture);

    /// <summary>The kernel has taken a frame a moment after it was written.</summary>
    private static void Settle(Func<bool> done)
    {
        for (long end = Environment.TickCount64 + 500; !done() && Environment.TickCount64 < end;)
        {
            Thread.Sleep(1);
        }
    }

    private static void Set(Socket socket, int name, int value) => socket.SetRawSocketOption(SolTcp, name, BitConverter.GetBytes(value));

    private Socket Make()
    {
        Socket socket = new(_local.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.SetRawSocketOption(SolTcp, 13, Encoding.ASCII.GetBytes(_congestion));
        _sockets.Add(socket);
        return socket;
    }

    private byte[] Info()
    {
        byte[] info = new byte[104];
        Assert.Equal(104, _conn!.GetRawSocketOption(SolTcp, TcpInfo, info));
        return info;
    }

    private int Window() => BitConverter.ToInt32(Info(), 80); // tcpi_snd_cwnd

    private int Buffer()
    {
        byte[] bytes = new byte[4];
        _ = _conn!.GetRawSocketOption(1, 8, bytes);
        return BitConverter.ToInt32(bytes);
    }

    private int Error()
    {
        byte[] error = new byte[4];
        _ = _conn!.GetRawSocketOption(1, 4, error);
        return BitConverter.ToInt32(error);
    }

    private int ReadAll()
    {
        byte[] buffer = new byte[1 << 20];
        int total = 0;
        while (_conn!.Available > 0)
        {
            total += _conn.Receive(buffer);
        }

        return total;
    }
}
