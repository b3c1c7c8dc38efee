using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>Creating and deleting.</summary>
internal static class Changes
{
    public static int CreateGuest(string directory, Guest wanted, bool dryRun)
    {
        using NkdClient client = For(directory, "guest", wanted.Name);
        Guest guest = client.CreateGuest(wanted, mustBeNew: true, dryRun);
        string addresses = (guest.Ipv4.Length > 0 ? guest.Ipv4 : "the host's addresses") + (guest.Ipv6.Length > 0 ? ", " + guest.Ipv6 : "");
        return Done("guest", guest.Name, $"{(dryRun ? "would be" : "is")} made: {addresses}, NSM {guest.Nsm}", guest.Problem);
    }

    public static int UpdateGuest(string directory, Guest wanted, IReadOnlyCollection<string> paths, uint drainSeconds = 0)
    {
        using NkdClient client = For(directory, "guest", wanted.Name, paths);
        Guest guest = client.UpdateGuest(wanted, paths, drainSeconds);
        return Done("guest", guest.Name, Changed(paths), guest.Problem);
    }

    public static int DeleteGuest(string directory, string name, bool force) => Delete(directory, "guest", name, client => client.DeleteGuest(name, force));

    public static int CreateNsm(string directory, Nsm wanted)
    {
        using NkdClient client = For(directory, "NSM", wanted.Name);
        Nsm nsm = client.CreateNsm(wanted);
        return Done("NSM", nsm.Name, $"is made: {nsm.Kind}, {nsm.CongestionControl}, pid {nsm.Pid}", ProblemOf(nsm));
    }

    public static int UpdateNsm(string directory, Nsm wanted, IReadOnlyCollection<string> paths, bool restart)
    {
        using NkdClient client = For(directory, "NSM", wanted.Name, paths);
        Nsm nsm = client.UpdateNsm(wanted, paths, restart);
        return Done("NSM", nsm.Name, Changed(paths), ProblemOf(nsm));
    }

    public static int DeleteNsm(string directory, string name) => Delete(directory, "NSM", name, client => client.DeleteNsm(name));

    public static int CreateTenant(string directory, Tenant wanted)
    {
        using NkdClient client = For(directory, "tenant", wanted.Name);
        Tenant tenant = client.CreateTenant(wanted);
        return Done("tenant", tenant.Name, "is made", tenant.Problem);
    }

    public static int UpdateTenant(string directory, Tenant wanted, IReadOnlyCollection<string> paths)
    {
        using NkdClient client = For(directory, "tenant", wanted.Name, paths);
        Tenant tenant = client.UpdateTenant(wanted, paths);
        return Done("tenant", tenant.Name, Changed(paths), tenant.Problem);
    }

    public static int DeleteTenant(string directory, string name) => Delete(directory, "tenant", name, client => client.DeleteTenant(name));

    public static int CreatePolicy(string directory, Policy wanted)
    {
        using NkdClient client = For(directory, "policy", wanted.Name);
        Policy policy = client.CreatePolicy(wanted);
        return Done("policy", policy.Name, $"is made: {string.Join(", then ", policy.Nsms)}", policy.Problem);
    }

    public static int UpdatePolicy(string directory, Policy wanted, IReadOnlyCollection<string> paths)
    {
        using NkdClient client = For(directory, "policy", wanted.Name, paths);
        Policy policy = client.UpdatePolicy(wanted, paths);
        return Done("policy", policy.Name, Changed(paths), policy.Problem);
    }

    public static int DeletePolicy(string directory, string name) => Delete(directory, "policy", name, client => client.DeletePolicy(name));

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

    // A client for a change of an object of that name; with paths of a change of some field.
    private static NkdClient For(string directory, string kind, string name, IReadOnlyCollection<string>? paths = null) =>
        Names.Problem(kind, name) is { } problem ? throw CliException.Usage(problem)
        : paths is { Count: 0 } ? throw CliException.Usage("what is to change? --help lists the options")
        : new NkdClient(directory);

    private static int Delete(string directory, string kind, string name, Action<NkdClient> delete)
    {
        using NkdClient client = For(directory, kind, name);
        delete(client);
        return Done(kind, name, "is deleted");
    }

    // A problem: it is declared, but not in force. So it is done, and what is left of it is said.
    private static int Done(string kind, string name, string what, string problem = "")
    {
        Console.Error.WriteLine($"{kind} {name} {what}");
        if (problem.Length > 0)
        {
            Console.Error.WriteLine($"nk: {kind} {name}: {problem}");
        }

        return ExitCode.Success;
    }

    private static string Changed(IReadOnlyCollection<string> paths) => $"is changed: {string.Join(", ", paths)}";

    private static string ProblemOf(Nsm nsm) => nsm.QuotaProblem.Length > 0 ? "its quotas are not in force: " + nsm.QuotaProblem : "";
}
