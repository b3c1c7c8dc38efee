using System.CommandLine;
using NetKernel.ControlPlane.Api;

namespace NetKernel.Cli;

/// <summary>The options that say what a new guest's resolv.conf says.</summary>
internal sealed class DnsOptions
{
    private readonly Option<string[]> _servers =
        new("--dns") { Description = "a nameserver of its own; up to three times (the host's)", HelpName = "ADDRESS" };

    private readonly Option<string[]> _search =
        new("--dns-search") { Description = "a domain to look names up in, with --dns; may be repeated", HelpName = "DOMAIN" };

    private readonly Option<string[]> _options =
        new("--dns-option") { Description = "an option of resolv.conf, as timeout:1, with --dns; may be repeated", HelpName = "OPTION" };

    public Option[] All => [_servers, _search, _options];

    /// <summary>Null when none was given.</summary>
    public DnsSpec? Of(ParseResult parse)
    {
        var dns = new DnsSpec(parse.GetValue(_servers) ?? [], parse.GetValue(_search) ?? [], parse.GetValue(_options) ?? []);
        return dns.Servers.Length + dns.Search.Length + dns.Options.Length == 0 ? null : dns;
    }
}
