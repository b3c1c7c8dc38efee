using System.Globalization;
using System.IO;

namespace NetKernel.CoreEngine.Control;

/// <summary>The command line.</summary>
internal sealed class EngineOptions
{
    public const string Usage = "usage: nk-engine --run-dir DIR [--loops N] [--hugepages auto|off] [--sharedmem on|off] [--conn-rate N]";

    public string RunDirectory { get; set; } = "";

    public uint Loops { get; set; } = 1;

    public bool HugePages { get; set; } = true;

    /// <summary>Whether guests may reach each other by shared memory.</summary>
    public bool SharedMemory { get; set; }

    /// <summary>Connections per second that a guest without a limit of its own may open while others are busy; 0: as many as it likes.</summary>
    public ulong ConnectionRate { get; set; } = 2_500;

    public bool Help { get; set; }

    public string EngineSocket => Path.Combine(RunDirectory, "engine.sock");

    public string GuestDirectory => Path.Combine(RunDirectory, "guests");

    public string StatsFile => Path.Combine(RunDirectory, "engine.stats");

    /// <summary>Reads the command line; false with one line that says what is wrong.</summary>
    public static bool TryParse(ReadOnlySpan<string> args, out EngineOptions options, out string problem)
    {
        options = new EngineOptions();
        problem = "";
        for (int i = 0; i < args.Length; i++)
        {
            string name = args[i];
            string? value = null;
            int equals = name.IndexOf('=', StringComparison.Ordinal);
            if (name.StartsWith("--", StringComparison.Ordinal) && equals > 0)
            {
                value = name[(equals + 1)..];
                name = name[..equals];
            }

            if (name is "--help" or "-h")
            {
                options.Help = true;
                return true;
            }

            if (name is not ("--run-dir" or "--loops" or "--hugepages" or "--sharedmem" or "--conn-rate"))
            {
                problem = $"unknown argument '{name}'; {Usage}";
                return false;
            }

            value ??= i + 1 < args.Length ? args[++i] : "";
            switch (name)
            {
                case "--run-dir" when value.Length > 0:
                    options.RunDirectory = Path.GetFullPath(value);
                    break;
                case "--loops" when uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint loops) && loops is >= 1 and <= ControlHeader.MaxLoops:
                    options.Loops = loops;
                    break;
                case "--hugepages" when value is "auto" or "off":
                    options.HugePages = value == "auto";
                    break;
                case "--sharedmem" when value is "on" or "off":
                    options.SharedMemory = value == "on";
                    break;
                case "--conn-rate" when uint.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out uint rate):
                    options.ConnectionRate = rate;
                    break;
                default:
                    problem = name switch
                    {
                        "--run-dir" => "--run-dir needs a directory",
                        "--loops" => $"--loops must be 1 to {ControlHeader.MaxLoops}, not '{value}'",
                        "--conn-rate" => $"--conn-rate is a number of connections per second, not '{value}'",
                        "--sharedmem" => $"--sharedmem must be on or off, not '{value}'",
                        _ => $"--hugepages must be auto or off, not '{value}'",
                    };
                    return false;
            }
        }

        if (options.RunDirectory.Length == 0)
        {
            problem = $"--run-dir is missing; {Usage}";
            return false;
        }

        // A guest's socket, DIR/guests/NAME.sock, must fit into a sockaddr_un.
        if (System.Text.Encoding.UTF8.GetByteCount(options.GuestDirectory) > 60)
        {
            problem = $"--run-dir is too long for socket paths (at most 53 bytes): {options.RunDirectory}";
            return false;
        }

        return true;
    }
}
