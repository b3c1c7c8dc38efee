using System.Net.Sockets;
using System.Text;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>The connection to one process of programs/fuzz_agent.py.</summary>
internal sealed class ActorLink : IDisposable
{
    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[65536];
    private string _rest = "";

    public ActorLink(Socket socket)
    {
        _socket = socket;
        string[] hello = ReadLine().Split(' ');
        Name = hello[1];
        Pid = int.Parse(hello[2], System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>What it calls itself.</summary>
    public string Name { get; }

    /// <summary>Its process id.</summary>
    public int Pid { get; }

    /// <summary>Its process has ended.</summary>
    public bool Gone { get; private set; }

    /// <summary>For Socket.Select.</summary>
    public Socket Socket => _socket;

    /// <summary>Sends a line; to a process that has ended, nothing.</summary>
    public void Tell(string line)
    {
        try
        {
            if (!Gone)
            {
                _ = _socket.Send(Encoding.UTF8.GetBytes(line + "\n"));
            }
        }
        catch (SocketException)
        {
            Gone = true;
        }
    }

    /// <summary>Takes what has come, and waits for something when nothing has.</summary>
    public IEnumerable<string> Lines()
    {
        int n;
        try
        {
            n = _socket.Receive(_buffer);
        }
        catch (SocketException)
        {
            n = 0;
        }

        Gone |= n == 0;
        string[] lines = (_rest + Encoding.UTF8.GetString(_buffer, 0, n)).Split('\n');
        _rest = lines[^1];
        return lines[..^1];
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();

    private string ReadLine()
    {
        while (true)
        {
            string[] lines = [.. Lines()];
            if (lines.Length > 0 || Gone)
            {
                return lines.Length > 0 ? lines[0] : throw new IOException("an agent ended before it said who it is");
            }
        }
    }
}
