namespace NetKernel.Api;

/// <summary>Where things are: the run directory of an instance, and the programs of this installation.</summary>
public static class Places
{
    /// <summary>The instance when none is named.</summary>
    public const string DefaultInstance = "nk";

    /// <summary>sun_path holds 107 bytes; the longest is DIR/guests/NAME.sock.</summary>
    public const int MaxRunDirectoryLength = 107 - 8 - Names.MaxLength - 5;

    /// <summary>The run directory of an instance where nothing else was said.</summary>
    public static string DefaultRunDirectory(string instance)
    {
        string suffix = instance == DefaultInstance ? "" : "-" + instance;
        if (Environment.IsPrivilegedProcess)
        {
            return "/run/netkernel" + suffix;
        }

        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return !string.IsNullOrEmpty(runtime) && Directory.Exists(runtime)
            ? Path.Combine(runtime, "netkernel" + suffix)
            : $"/tmp/netkernel-{UserId()}{suffix}";
    }

    /// <summary>The first of: the flag, NETKERNEL_RUN_DIR, the default of the instance.</summary>
    public static string RunDirectory(string? flag, string? instance) =>
        Path.TrimEndingDirectorySeparator(Path.GetFullPath(
            !string.IsNullOrEmpty(flag) ? flag
            : instance is null && Environment.GetEnvironmentVariable("NETKERNEL_RUN_DIR") is { Length: > 0 } set ? set
            : DefaultRunDirectory(instance ?? Environment.GetEnvironmentVariable("NETKERNEL_INSTANCE") ?? DefaultInstance)));

    /// <summary>nkd's socket.</summary>
    public static string ApiSocket(string runDirectory) => Path.Combine(runDirectory, "nkd.sock");

    /// <summary>A program or library of this installation, or null.</summary>
    public static string? Find(string name)
    {
        foreach (string folder in Folders())
        {
            string path = Path.Combine(folder, name);
            if (File.Exists(path))
            {
                return Path.GetFullPath(path);
            }
        }

        return null;
    }

    /// <summary>Where programs are looked for: NK_OUT, beside this program, and out/ of the tree that it was built in.</summary>
    public static IEnumerable<string> Folders()
    {
        if (Environment.GetEnvironmentVariable("NK_OUT") is { Length: > 0 } set)
        {
            yield return set;
        }

        yield return AppContext.BaseDirectory;
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "NetKernel.sln")))
            {
                yield return Path.Combine(folder.FullName, "out");
                yield break;
            }
        }
    }

    private static uint UserId()
    {
        foreach (string line in File.ReadLines("/proc/self/status"))
        {
            if (line.StartsWith("Uid:", StringComparison.Ordinal))
            {
                return uint.Parse(line.Split('\t')[2], System.Globalization.CultureInfo.InvariantCulture);
            }
        }

        return 0;
    }
}
