using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>Creating and deleting.</summary>
internal static class Changes
{
    public static int CreateGuest(string directory, Guest wanted, bool dryRun)
    {
        Check("guest", wanted.Name);
        using var client = new NkdClient(directory);
        Guest guest = client.CreateGuest(wanted, mustBeNew: true, dryRun);
        Console.Error.WriteLine(
            $"guest {guest.Name} {(dryRun ? "would be" : "is")} made: {(guest.Ipv4.Length > 0 ? guest.Ipv4 : "the host's addresses")}{(guest.Ipv6.Length > 0 ? ", " + guest.Ipv6 : "")}, "
            + $"NSM {guest.Nsm}");
        Warn("guest", guest.Name, guest.Problem);
        return ExitCode.Success;
    }

    public static int UpdateGuest(string directory, Guest wanted, IReadOnlyCollection<string> paths, uint drainSeconds = 0)
    {
        Check("guest", wanted.Name);
        CheckAny(paths);
        using var client = new NkdClient(directory);
        Guest guest = client.UpdateGuest(wanted, paths, drainSeconds);
        Console.Error.WriteLine($"guest {guest.Name} is changed: {string.Join(", ", paths)}");
        Warn("guest", guest.Name, guest.Problem);
        return ExitCode.Success;
    }

    public static int DeleteGuest(string directory, string name, bool force)
    {
        Check("guest", name);
        using var client = new NkdClient(directory);
        client.DeleteGuest(name, force);
        Console.Error.WriteLine($"guest {name} is deleted");
        return ExitCode.Success;
    }

    public static int CreateNsm(string directory, Nsm wanted)
    {
        Check("NSM", wanted.Name);
        using var client = new NkdClient(directory);
        Nsm nsm = client.CreateNsm(wanted);
        Console.Error.WriteLine($"NSM {nsm.Name} is made: {nsm.Kind}, {nsm.CongestionControl}, pid {nsm.Pid}");
        Warn(nsm);
        return ExitCode.Success;
    }

    public static int UpdateNsm(string directory, Nsm wanted, IReadOnlyCollection<string> paths, bool restart)
    {
        Check("NSM", wanted.Name);
        CheckAny(paths);
        using var client = new NkdClient(directory);
        Nsm nsm = client.UpdateNsm(wanted, paths, restart);
        Console.Error.WriteLine($"NSM {nsm.Name} is changed: {string.Join(", ", paths)}");
        Warn(nsm);
        return ExitCode.Success;
    }

    public static int DeleteNsm(string directory, string name)
    {
        Check("NSM", name);
        using var client = new NkdClient(directory);
        client.DeleteNsm(name);
        Console.Error.WriteLine($"NSM {name} is deleted");
        return ExitCode.Success;
    }

    public static int CreateTenant(string directory, Tenant wanted)
    {
        Check("tenant", wanted.Name);
        using var client = new NkdClient(directory);
        Tenant tenant = client.CreateTenant(wanted);
        Console.Error.WriteLine($"tenant {tenant.Name} is made");
        Warn("tenant", tenant.Name, tenant.Problem);
        return ExitCode.Success;
    }

    public static int UpdateTenant(string directory, Tenant wanted, IReadOnlyCollection<string> paths)
    {
        Check("tenant", wanted.Name);
        CheckAny(paths);
        using var client = new NkdClient(directory);
        Tenant tenant = client.UpdateTenant(wanted, paths);
        Console.Error.WriteLine($"tenant {tenant.Name} is changed: {string.Join(", ", paths)}");
        Warn("tenant", tenant.Name, tenant.Problem);
        return ExitCode.Success;
    }

    public static int DeleteTenant(string directory, string name)
    {
        Check("tenant", name);
        using var client = new NkdClient(directory);
        client.DeleteTenant(name);
        Console.Error.WriteLine($"tenant {name} is deleted");
        return ExitCode.Success;
    }

    public static int CreatePolicy(string directory, Policy wanted)
    {
        Check("policy", wanted.Name);
        using var client = new NkdClient(directory);
        Policy policy = client.CreatePolicy(wanted);
        Console.Error.WriteLine($"policy {policy.Name} is made: {string.Join(", then ", policy.Nsms)}");
        Warn("policy", policy.Name, policy.Problem);
        return ExitCode.Success;
    }

    public static int UpdatePolicy(string directory, Policy wanted, IReadOnlyCollection<string> paths)
    {
        Check("policy", wanted.Name);
        CheckAny(paths);
        using var client = new NkdClient(directory);
        Policy policy = client.UpdatePolicy(wanted, paths);
        Console.Error.WriteLine($"policy {policy.Name} is changed: {string.Join(", ", paths)}");
        Warn("policy", policy.Name, policy.Problem);
        return ExitCode.Success;
    }

    public static int DeletePolicy(string directory, string name)
    {
        Check("policy", name);
        using var client = new NkdClient(directory);
        client.DeletePolicy(name);
        Console.Error.WriteLine($"policy {name} is deleted");
        return ExitCode.Success;
    }

    /// <summary>KEY=VALUE, each once.</summary>
    public static void Labels(Google.Protobuf.Collections.MapField<string, string> into, string[]? words)
    {
        foreach (string word in words ?? [])
        {
            int at = word.IndexOf('=', StringComparison.Ordinal);
            if (at <= 0)
            {
                throw CliException.Usage($"--label {word}: a label is KEY=VALUE");
            }

            into[word[..at]] = word[(at + 1)..];
        }
    }

    /// <summary>262144, 256k, 1M: binary multiples, as ip and tc have them for buffers.</summary>
    public static long Bytes(string option, string? text)
    {
        if (text is null)
        {
            return 0;
        }

        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch { 'k' => 10, 'm' => 20, 'g' => 30, _ => 0 };
        return long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= 1L << 30
            ? number << shift
            : throw CliException.Usage($"{option} {text}: a number of bytes, as 262144, 256k or 1M");
    }

    private static void Warn(Nsm nsm) => Warn("NSM", nsm.Name, nsm.QuotaProblem.Length > 0 ? "its quotas are not in force: " + nsm.QuotaProblem : "");

    // Declared, but not in force: it is done, and what is left of it is said.
    private static void Warn(string kind, string name, string problem)
    {
        if (problem.Length > 0)
        {
            Console.Error.WriteLine($"nk: {kind} {name}: {problem}");
        }
    }

    private static void CheckAny(IReadOnlyCollection<string> paths)
    {
        if (paths.Count == 0)
        {
            throw CliException.Usage("what is to change? --help lists the options");
        }
    }

    private static void Check(string kind, string name)
    {
        if (Names.Problem(kind, name) is { } problem)
        {
            throw CliException.Usage(problem);
        }
    }
}
