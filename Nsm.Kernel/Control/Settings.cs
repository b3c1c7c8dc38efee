using System.IO;
using System.Linq;
using System.Text;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <summary>What the operator asked for on the command line, checked before anything starts.</summary>
internal sealed unsafe class Settings
{
    /// <summary>The program's name.</summary>
    public const string Program = "nk-nsm-kernel";

    private const uint MinBuffer = 4096, MaxBuffer = 1 << 30;
    private const string ProcDirectory = "/proc/sys/net/ipv4/";

    private byte[][] _allowed = [];

    public string RunDirectory { get; private init; } = "";

    public uint Id { get; private init; }

    /// <summary>The congestion control of every socket; null: the system's.</summary>
    public string? Congestion { get; private set; }

    /// <summary>The same as the kernel wants it; empty: the system's.</summary>
    public byte[] CongestionName { get; private set; } = [];

    /// <summary>SO_SNDBUF of every socket; 0: the kernel's own tuning.</summary>
    public int SendBuffer { get; private set; }

    /// <summary>SO_RCVBUF of every socket; 0: the kernel's own tuning.</summary>
    public int ReceiveBuffer { get; private set; }

    /// <summary>Each guest has its own addresses in this network namespace; else guests share the host's.</summary>
    public bool IsBridge { get; private set; } = true;

    /// <summary>Guests may use the loopback of this network namespace: it is theirs alone. Tests only.</summary>
    public bool CarriesLoopback { get; private set; }

    /// <summary>Reads a command line.</summary>
    /// <exception cref="ArgumentException">It is wrong; the message is one line for a person.</exception>
    public static Settings Parse(ReadOnlySpan<string> arguments)
    {
        NsmArguments given = NsmArguments.Parse(Program, ["--congestion", "--sndbuf", "--rcvbuf", "--mode"], arguments);
        Settings settings = new() { RunDirectory = given.RunDirectory, Id = given.Id };
        foreach ((string name, string value) in given.Own)
        {
            switch (name)
            {
                case "--congestion":
                    settings.Congestion = value;
                    break;
                case "--sndbuf":
                    settings.SendBuffer = (int)NsmArguments.Number(name, value, MinBuffer, MaxBuffer);
                    break;
                case "--rcvbuf":
                    settings.ReceiveBuffer = (int)NsmArguments.Number(name, value, MinBuffer, MaxBuffer);
                    break;
                default:
                    settings.IsBridge = value switch
                    {
                        "bridge" => true,
                        "host" or "private" => false,
                        _ => throw new ArgumentException($"--mode {value} is neither bridge nor host (nor private, for tests)"),
                    };
                    settings.CarriesLoopback = value == "private";
                    break;
            }
        }

        settings.ReadCongestion();
        return settings;
    }

    /// <summary>Whether guests may choose that congestion control: one that the system allows, whatever rights the NSM has.</summary>
    public bool AllowsCongestion(byte* name, uint length)
    {
        ReadOnlySpan<byte> wanted = new(name, (int)length);
        int end = wanted.IndexOf((byte)0);
        wanted = end < 0 ? wanted : wanted[..end];
        for (int i = 0; i < _allowed.Length; i++)
        {
            if (wanted.SequenceEqual(_allowed[i]))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>What a socket of this network namespace has by itself; empty: not known.</summary>
    public static string SystemsCongestion() => Words("tcp_congestion_control").FirstOrDefault("");

    private static string[] Words(string file)
    {
        try
        {
            return File.ReadAllText(ProcDirectory + file).Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        }
        catch (IOException)
        {
            return [];
        }
        catch (UnauthorizedAccessException)
        {
            return [];
        }
    }

    private void ReadCongestion()
    {
        // The list of those allowed exists in the first network namespace only on some kernels; the available ones are then the limit.
        string[] available = Words("tcp_available_congestion_control");
        string[] allowed = Words("tcp_allowed_congestion_control");
        if (Congestion is { } wanted)
        {
            if (!available.Contains(wanted))
            {
                throw new ArgumentException($"congestion control {wanted} is not available here; these are: {string.Join(' ', available)}");
            }

            if (!Environment.IsPrivilegedProcess && !allowed.Contains(wanted))
            {
                throw new ArgumentException($"congestion control {wanted} is not allowed without privileges; these are: {string.Join(' ', allowed)}");
            }

            CongestionName = Encoding.ASCII.GetBytes(wanted);
        }

        // The one that is in use anyway may be asked for, too: the kernel refuses nobody the algorithm that his socket has already.
        string[] mine = Congestion is null ? [] : [Congestion];
        _allowed = (allowed.Length > 0 ? allowed : available).Union(mine).Select(Encoding.ASCII.GetBytes).ToArray();
    }
}
