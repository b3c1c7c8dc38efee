using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Configuration;

/// <summary>A setting and where it was said: "--mode", "NETKERNEL_MODE", or "/etc/netkernel/nkd.conf:3".</summary>
internal sealed record Setting(string Name, string Value, string Source)
{
    /// <summary>The file that is read when there is one; --config names another.</summary>
    public const string UsualFile = "/etc/netkernel/nkd.conf";

    /// <summary>What a file or the environment may say; flags have two more, instance and run-dir, which have always had variables of their own, and bin-dir.</summary>
    public static readonly string[] Names =
        ["mode", "loops", "hugepages", "shared-memory", "placement", "subnet4", "subnet6", "state-dir", "listen", "tls-dir", "engine-cpu", "engine-memory", "conn-rate", "usage-retention", "metrics", "otlp-endpoint",
         "otlp-protocol", "otlp-interval",
         "log-format"];

    /// <summary>NETKERNEL_STATE_DIR for state-dir.</summary>
    public static string Variable(string name) => "NETKERNEL_" + name.ToUpperInvariant().Replace('-', '_');

    /// <summary>A failure that says where.</summary>
    public ServiceException Wrong(string message) => new(
        FailureCode.InvalidArgument, Source.StartsWith("--", StringComparison.Ordinal) ? $"{Source} {Value}: {message}" : $"{Source}: {Name} = {Value}: {message}");

    /// <summary>The file, then the environment, then the flags: what comes later holds.</summary>
    public static IEnumerable<Setting> Collect(string file, bool mustExist, Func<string, string?> variable, IEnumerable<Setting> flags)
    {
        IEnumerable<Setting> fromVariables = Names.Select(name => (name, Value: variable(Variable(name)))).Where(pair => !string.IsNullOrEmpty(pair.Value))
            .Select(pair => new Setting(pair.name, pair.Value!, Variable(pair.name)));
        return [.. mustExist || File.Exists(file) ? Read(file) : [], .. fromVariables, .. flags];
    }

    /// <summary>Lines of NAME = VALUE, and # before remarks.</summary>
    private static List<Setting> Read(string file)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"cannot read {file}: {e.Message.TrimEnd('.')}");
        }

        var settings = new List<Setting>();
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Split('#')[0].Trim();
            if (line.Length == 0)
            {
                continue;
            }

            string source = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{file}:{i + 1}");
            int at = line.IndexOf('=', StringComparison.Ordinal);
            string name = at < 0 ? line : line[..at].Trim();
            if (at < 0 || !Names.Contains(name))
            {
                throw new ServiceException(
                    FailureCode.InvalidArgument,
                    at < 0 ? $"{source}: '{line}' is no line of NAME = VALUE" : $"{source}: there is no setting '{name}': there are {string.Join(", ", Names)}");
            }

            if (settings.Find(setting => setting.Name == name) is { } before)
            {
                throw new ServiceException(FailureCode.InvalidArgument, $"{source}: {name} is set twice, first in {before.Source}");
            }

            settings.Add(new Setting(name, line[(at + 1)..].Trim(), source));
        }

        return settings;
    }
}
