using System.Globalization;
using NetKernel.Api;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane;

/// <summary>nkd's command line, checked at start.</summary>
internal sealed class NkdOptions
{
    private string? _folder;

    public string Instance { get; private set; } = Places.DefaultInstance;

    public string RunDirectory { get; private set; } = "";

    /// <summary>"bridge", "host" or "private".</summary>
    public string Mode { get; private set; } = Environment.IsPrivilegedProcess ? "bridge" : "host";

    public int Loops { get; private set; } = 1;

    public string HugePages { get; private set; } = "auto";

    /// <summary>Connections between guests of this host go by shared memory.</summary>
    public string SharedMemory { get; private set; } = "on";

    public string Subnet4 { get; private set; } = "198.18.0.0/16";

    public string Subnet6 { get; private set; } = "2001:2::/64";

    public string Engine { get; private set; } = "";

    /// <summary>Where what is declared is kept; by default the run directory, and then it goes with `nk down`.</summary>
    public string StateDirectory { get; private set; } = "";

    /// <summary>CoreEngine's quota of processor time in thousandths of a core; 0: none.</summary>
    public uint EngineCpuMillicores { get; private set; }

    /// <summary>CoreEngine's quota of memory in bytes; 0: none.</summary>
    public ulong EngineMemoryBytes { get; private set; }

    public string Library { get; private set; } = "";

    /// <summary>Leave the terminal once everything is up, and say so in one line on standard output.</summary>
    public bool Daemon { get; private set; }

    /// <summary>Only remove what a killed nkd left behind.</summary>
    public bool CleanUp { get; private set; }

    /// <summary>Throws <see cref="ServiceException"/> with one line that says what is wrong.</summary>
    public static NkdOptions Parse(IReadOnlyList<string> arguments)
    {
        var options = new NkdOptions();
        string? runDirectory = null;
        string? instance = null;
        string? folder = null;
        string? state = null;
        for (int i = 0; i < arguments.Count; i++)
        {
            string name = arguments[i];
            switch (name)
            {
                case "--daemon":
                    options.Daemon = true;
                    continue;
                case "--clean-up":
                    options.CleanUp = true;
                    continue;
            }

            string value = i + 1 < arguments.Count ? arguments[++i] : throw Wrong($"{name} needs a value");
            switch (name)
            {
                case "--run-dir": runDirectory = value; break;
                case "--instance": instance = value; break;
                case "--mode": options.Mode = value; break;
                case "--bin-dir": folder = value; break;
                case "--hugepages": options.HugePages = value; break;
                case "--shared-memory": options.SharedMemory = value; break;
                case "--state-dir": state = value; break;
                case "--engine-cpu":
                    options.EngineCpuMillicores = uint.TryParse(value, CultureInfo.InvariantCulture, out uint cpu) ? cpu : throw Wrong("--engine-cpu is a number of thousandths of a core");
                    break;
                case "--engine-memory":
                    options.EngineMemoryBytes = ulong.TryParse(value, CultureInfo.InvariantCulture, out ulong memory) ? memory : throw Wrong("--engine-memory is a number of bytes");
                    break;
                case "--subnet4": options.Subnet4 = value; break;
                case "--subnet6": options.Subnet6 = value; break;
                case "--loops":
                    options.Loops = int.TryParse(value, CultureInfo.InvariantCulture, out int loops) ? loops : 0;
                    break;
                default: throw Wrong($"unknown option {name}");
            }
        }

        options.Instance = instance ?? Environment.GetEnvironmentVariable("NETKERNEL_INSTANCE") ?? Places.DefaultInstance;
        options.RunDirectory = Places.RunDirectory(runDirectory, instance);
        options.Engine = Installed(folder, "nk-engine");
        options.StateDirectory = state is null ? options.RunDirectory : Path.GetFullPath(state);
        options._folder = folder;
        _ = Installed(folder, "nk-nsm-kernel");
        options.Library = Installed(folder, "libnetkernel.so");
        options.Check();
        return options;
    }

    /// <summary>The program of a kind of NSM, nk-nsm-KIND; null when it is not installed.</summary>
    public string? NsmProgram(string kind)
    {
        string name = "nk-nsm-" + kind;
        string? path = _folder is null ? Places.Find(name) : Path.GetFullPath(Path.Combine(_folder, name));
        return path is not null && File.Exists(path) ? path : null;
    }

    private void Check()
    {
        if (Names.Problem("instance", Instance) is { } problem)
        {
            throw Wrong(problem);
        }

        if (Mode is not ("bridge" or "host" or "private"))
        {
            throw Wrong($"--mode {Mode}: it is bridge or host (or private, for tests)");
        }

        if (Mode != "host" && !Environment.IsPrivilegedProcess)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"{Mode} mode needs root (network namespaces{(Mode == "bridge" ? ", a bridge" : "")}): use sudo, or try `nk up --mode host` without privileges");
        }

        if (Loops is < 1 or > 8)
        {
            throw Wrong("--loops is 1 to 8");
        }

        if (HugePages is not ("auto" or "off"))
        {
            throw Wrong($"--hugepages {HugePages}: it is auto or off");
        }

        if (SharedMemory is not ("on" or "off"))
        {
            throw Wrong($"--shared-memory {SharedMemory}: it is on or off");
        }

        try
        {
            _ = new AddressPlan(Subnet4, Subnet6);
        }
        catch (FormatException e)
        {
            throw Wrong(e.Message);
        }
    }

    private static string Installed(string? folder, string name)
    {
        string? path = folder is null ? Places.Find(name) : Path.GetFullPath(Path.Combine(folder, name));
        return path is not null && File.Exists(path)
            ? path
            : throw new ServiceException(FailureCode.FailedPrecondition, $"{name} is not built or not installed: ./nk build");
    }

    private static ServiceException Wrong(string message) => new(FailureCode.InvalidArgument, message);
}
