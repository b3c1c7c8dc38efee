using System.Net;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Run;

/// <summary>
/// The files that a guest's programs see in /etc in the place of the host's: those that nkd wrote for it, and those in /etc/netns/NAMESPACE, as ip-netns(8) has
/// it, which go first. A host whose resolv.conf names only its own systemd-resolved, on a loopback address that no guest can reach, has another file with
/// the servers behind it: that one is taken then.
/// </summary>
internal static class GuestFiles
{
    private const string ResolverFile = "/etc/resolv.conf", BehindResolved = "/run/systemd/resolve/resolv.conf";

    /// <summary>Pairs of a file and what it takes the place of.</summary>
    public static List<(string Source, string Target)> Of(Guest guest)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        string? space = guest.NamespacePath.Length == 0 ? null : Path.Combine("/etc/netns", Path.GetFileName(guest.NamespacePath));
        foreach (string? folder in new string?[] { guest.Files, space })
        {
            foreach (string file in !string.IsNullOrEmpty(folder) && Directory.Exists(folder) ? Directory.EnumerateFiles(folder) : [])
            {
                files["/etc/" + Path.GetFileName(file)] = file;
            }
        }

        if (guest.NamespacePath.Length > 0 && !files.ContainsKey(ResolverFile) && IsUnreachable(ResolverFile) && File.Exists(BehindResolved)
            && !IsUnreachable(BehindResolved))
        {
            files[ResolverFile] = BehindResolved;
        }

        return [.. files.Select(pair => (pair.Value, pair.Key))];
    }

    /// <summary>Whether a resolv.conf names only servers on the host's loopback.</summary>
    public static bool IsUnreachable(string path)
    {
        try
        {
            IPAddress[] servers = [.. Servers(File.ReadAllText(path))];
            return servers.Length == 0 || servers.All(IPAddress.IsLoopback); // none named means 127.0.0.1, too
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }

    internal static IEnumerable<IPAddress> Servers(string text) => text.Split('\n')
        .Select(line => line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        .Where(words => words.Length > 1 && words[0] == "nameserver")
        .Select(words => IPAddress.TryParse(words[1], out IPAddress? address) ? address : null)
        .OfType<IPAddress>();
}
