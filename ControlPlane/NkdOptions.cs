using System.Globalization;
using NetKernel.Api;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Configuration;
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

    /// <summary>On which CPUs the parts run, and guests' programs.</summary>
    public Supervision.Placement Placement { get; private set; } = Supervision.Placement.Spread;

    public string Subnet4 { get; private set; } = "198.18.0.0/16";

    public string Subnet6 { get; private set; } = "2001:2::/64";

    public string Engine { get; private set; } = "";

    /// <summary>Where what is declared is kept; by default the run directory, and then it goes with `nk down`.</summary>
    public string StateDirectory { get; private set; } = "";

    /// <summary>Where the API is served over TCP too; null: nowhere.</summary>
    public System.Net.IPEndPoint? Listen { get; private set; }

    /// <summary>The folder with ca.pem, server.pem and server.key.</summary>
    public string TlsDirectory { get; private set; } = Environment.CurrentDirectory;

    /// <summary>CoreEngine's quota of processor time in thousandths of a core; 0: none.</summary>
    public uint EngineCpuMillicores { get; private set; }

    /// <summary>CoreEngine's quota of memory in bytes; 0: none.</summary>
    public ulong EngineMemoryBytes { get; private set; }

    /// <summary>Connections per second that a guest without a limit of its own may open while others are busy; 0: any number.</summary>
    public uint ConnectionRate { get; private set; } = 2_500;

    /// <summary>How long usage is kept in steps of 10 s, 1 min and 1 h.</summary>
    public IReadOnlyList<Usage.UsageLevel> UsageLevels { get; private set; } = Usage.Retention.Default;

    /// <summary>Where the Prometheus page is; null: nowhere.</summary>
    public System.Net.IPEndPoint? Metrics { get; private set; }

    /// <summary>The OTLP collector's address; null: none.</summary>
    public Uri? OtlpEndpoint { get; private set; }

    public OpenTelemetry.Exporter.OtlpExportProtocol OtlpProtocol { get; private set; } = OpenTelemetry.Exporter.OtlpExportProtocol.Grpc;

    public TimeSpan OtlpInterval { get; private set; } = TimeSpan.FromSeconds(30);

    /// <summary>Lines of nkd.log: JSON objects, or text for people.</summary>
    public bool LogsJson { get; private set; } = true;

    public string Library { get; private set; } = "";

    /// <summary>Leave the terminal once everything is up, and say so in one line on standard output.</summary>
    public bool Daemon { get; private set; }

    /// <summary>Only remove what a killed nkd left behind.</summary>
    public bool CleanUp { get; private set; }

    /// <summary>Reads the command line, the environment and the file. Throws <see cref="ServiceException"/> with one line that says what is wrong, and where.</summary>
    public static NkdOptions Parse(IReadOnlyList<string> arguments, Func<string, string?>? variable = null)
    {
        var options = new NkdOptions();
        string? runDirectory = null;
        string? instance = null;
        string? folder = null;
        string? file = null;
        var flags = new List<Setting>();
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
                case "--bin-dir": folder = value; break;
                case "--config": file = value; break;
                default:
                    flags.Add(name.StartsWith("--", StringComparison.Ordinal) && Setting.Names.Contains(name[2..])
                        ? new Setting(name[2..], value, name) : throw Wrong($"unknown option {name}"));
                    break;
            }
        }

        options.Instance = instance ?? Environment.GetEnvironmentVariable("NETKERNEL_INSTANCE") ?? Places.DefaultInstance;
        options.RunDirectory = Places.RunDirectory(runDirectory, instance);
        options.StateDirectory = options.RunDirectory;
        foreach (Setting setting in Setting.Collect(file ?? Setting.UsualFile, file is not null, variable ?? Environment.GetEnvironmentVariable, flags))
        {
            options.Set(setting);
        }

        options._folder = folder;
        options.Engine = Installed(folder, "nk-engine");
        _ = Installed(folder, "nk-nsm-kernel");
        options.Library = Installed(folder, "libnetkernel.so");
        options.Check();
        return options;
    }

    private void Set(Setting setting)
    {
        string value = setting.Value;
        switch (setting.Name)
        {
            case "mode": Mode = value is "bridge" or "host" or "private" ? value : throw setting.Wrong("it is bridge or host (or private, for tests)"); break;
            case "hugepages": HugePages = value is "auto" or "off" ? value : throw setting.Wrong("it is auto or off"); break;
            case "shared-memory": SharedMemory = value is "on" or "off" ? value : throw setting.Wrong("it is on or off"); break;
            case "placement": Placement = Supervision.Placement.TryParse(value, CpuList.Allowed()) ?? throw setting.Wrong(Supervision.Placement.Rule); break;
            case "state-dir": StateDirectory = Path.GetFullPath(value); break;
            case "tls-dir": TlsDirectory = Path.GetFullPath(value); break;
            case "loops":
                Loops = int.TryParse(value, CultureInfo.InvariantCulture, out int loops) && loops is >= 1 and <= 8 ? loops : throw setting.Wrong("loops are 1 to 8");
                break;
            case "listen":
                Listen = System.Net.IPEndPoint.TryParse(value, out System.Net.IPEndPoint? endpoint) && endpoint.Port > 0
                    ? endpoint : throw setting.Wrong("it is ADDRESS:PORT, as 127.0.0.1:7443 or [::1]:7443");
                break;
            case "engine-cpu":
                EngineCpuMillicores = uint.TryParse(value, CultureInfo.InvariantCulture, out uint cpu) ? cpu : throw setting.Wrong("it is a number of thousandths of a core");
                break;
            case "engine-memory":
                EngineMemoryBytes = ulong.TryParse(value, CultureInfo.InvariantCulture, out ulong memory) ? memory : throw setting.Wrong("it is a number of bytes");
                break;
            case "conn-rate":
                ConnectionRate = uint.TryParse(value, CultureInfo.InvariantCulture, out uint rate) ? rate : throw setting.Wrong("it is a number of connections per second");
                break;
            case "usage-retention": UsageLevels = Usage.Retention.TryParse(value) ?? throw setting.Wrong(Usage.Retention.Rule); break;
            case "metrics":
                Metrics = System.Net.IPEndPoint.TryParse(value, out System.Net.IPEndPoint? page) && page.Port > 0
                    ? page : throw setting.Wrong("it is ADDRESS:PORT, as 127.0.0.1:9464 or [::1]:9464");
                break;
            case "otlp-endpoint":
                OtlpEndpoint = Uri.TryCreate(value, UriKind.Absolute, out Uri? collector) && collector.Scheme is "http" or "https"
                    ? collector! : throw setting.Wrong("it is http://HOST:PORT or https://HOST:PORT");
                if (OtlpEndpoint.UserInfo.Length > 0)
                {
                    throw Wrong($"{setting.Source}: otlp-endpoint has a password in it, which others can read: OTEL_EXPORTER_OTLP_HEADERS is for that"); // and is not shown here either
                }

                break;
            case "otlp-protocol":
                OtlpProtocol = value switch
                {
                    "grpc" => OpenTelemetry.Exporter.OtlpExportProtocol.Grpc,
                    "http/protobuf" => OpenTelemetry.Exporter.OtlpExportProtocol.HttpProtobuf,
                    _ => throw setting.Wrong("it is grpc or http/protobuf"),
                };
                break;
            case "otlp-interval":
                OtlpInterval = uint.TryParse(value, CultureInfo.InvariantCulture, out uint seconds) && seconds is >= 1 and <= 3600
                    ? TimeSpan.FromSeconds(seconds) : throw setting.Wrong("it is a number of seconds, 1 to 3600");
                break;
            case "log-format": LogsJson = value is "json" or "text" ? value == "json" : throw setting.Wrong("it is json or text"); break;
            case "subnet4": Subnet4 = Subnet(setting, subnet => new AddressPlan(subnet4: subnet)); break;
            case "subnet6": Subnet6 = Subnet(setting, subnet => new AddressPlan(subnet6: subnet)); break;
            default: throw setting.Wrong("there is no such setting");
        }
    }

    private static string Subnet(Setting setting, Func<string, AddressPlan> plan)
    {
        try
        {
            _ = plan(setting.Value);
            return setting.Value;
        }
        catch (FormatException e)
        {
            throw setting.Wrong(e.Message);
        }
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

        if (Mode != "host" && !Environment.IsPrivilegedProcess)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"{Mode} mode needs root (network namespaces{(Mode == "bridge" ? ", a bridge" : "")}): use sudo, or try `nk up --mode host` without privileges");
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
