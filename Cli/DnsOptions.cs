using System.CommandLine;
using NetKernel.Api;
using NetKernel.Api.V1;

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
    public Dns? Of(ParseResult parse)
    {
        var dns = new Dns { Servers = { parse.GetValue(_servers) ?? [] }, Search = { parse.GetValue(_search) ?? [] }, Options = { parse.GetValue(_options) ?? [] } };
        return dns.Servers.Count + dns.Search.Count + dns.Options.Count == 0 ? null : dns;
    }
}
