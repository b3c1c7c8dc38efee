using System.Net;
using System.Text.RegularExpressions;
using Dns = NetKernel.Api.V1.Dns;

namespace NetKernel.ControlPlane.Services;

/// <summary>The resolv.conf(5) of a guest that has nameservers of its own.</summary>
internal static partial class ResolverFile
{
    /// <summary>The C library asks no more (MAXNS).</summary>
    private const int MaxServers = 3;

    /// <summary>Throws when an operator's wishes cannot become a file.</summary>
    public static void Check(Dns? dns)
    {
        if (dns is null)
        {
            return;
        }

        string? problem = dns.Servers.Count == 0 ? "search domains and options need a nameserver: add --dns ADDRESS"
            : dns.Servers.Count > MaxServers ? $"no more than {MaxServers} nameservers are asked: give {MaxServers} at most"
            : dns.Servers.FirstOrDefault(server => !IPAddress.TryParse(server, out _)) is { } server ? $"'{server}' is not an IP address: --dns takes addresses"
            : dns.Search.FirstOrDefault(domain => !Domain().IsMatch(domain)) is { } domain ? $"'{domain}' is not a domain"
            : dns.Options.FirstOrDefault(option => !Option().IsMatch(option)) is { } option ? $"'{option}' is not an option of resolv.conf"
            : null;
        if (problem is not null)
        {
            throw ServiceException.Invalid("guest.dns", problem);
        }

        if (!Environment.IsPrivilegedProcess)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, "a guest gets nameservers of its own by a mount, which needs root: leave out --dns, and the guest has the host's");
        }
    }

    /// <summary>Writes the folder with the file, or makes sure that there is none.</summary>
    public static void Write(string folder, Dns? dns)
    {
        Remove(folder);
        if (dns is not null)
        {
            _ = Directory.CreateDirectory(folder);
            string path = Path.Combine(folder, "resolv.conf");
            File.WriteAllText(path, Text(dns));
            File.SetUnixFileMode(path, (UnixFileMode)0x1A4 /* 0644 */);
        }
    }

    public static void Remove(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>For a message.</summary>
    public static string Show(Dns? dns) => dns is null ? "the host's nameservers" : "the nameservers " + string.Join(", ", dns.Servers);

    internal static string Text(Dns dns) =>
        string.Concat(dns.Servers.Select(server => $"nameserver {server}\n"))
        + (dns.Search.Count > 0 ? $"search {string.Join(' ', dns.Search)}\n" : "") + (dns.Options.Count > 0 ? $"options {string.Join(' ', dns.Options)}\n" : "");

    [GeneratedRegex("^[A-Za-z0-9._-]{1,253}$")]
    private static partial Regex Domain();

    [GeneratedRegex("^[a-z0-9-]+(:[0-9]+)?$")]
    private static partial Regex Option();
}
