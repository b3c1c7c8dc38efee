using System.CommandLine;
using System.Globalization;
using NetKernel.Api.V1;

namespace NetKernel.Cli;

/// <summary>The options that say what a guest or a tenant may use.</summary>
internal sealed class LimitOptions
{
    private readonly Option<string?> _send = new("--limit-send") { Description = "bytes per second that it may send, as 125M (no limit)", HelpName = "RATE" };
    private readonly Option<string?> _receive = new("--limit-receive") { Description = "bytes per second that it may receive", HelpName = "RATE" };
    private readonly Option<string?> _operations = new("--limit-ops") { Description = "requests per second", HelpName = "RATE" };
    private readonly Option<string?> _connections = new("--limit-conns") { Description = "open connections", HelpName = "N" };
    private readonly Option<string?> _rate = new("--limit-conn-rate") { Description = "connections opened per second", HelpName = "RATE" };
    private readonly Option<string?> _pool = new("--limit-pool") { Description = "bytes of its pool, as 64M; of a guest only when it is made", HelpName = "BYTES" };

    public Option[] All => [_send, _receive, _operations, _connections, _rate, _pool];

    /// <summary>Null when none was given.</summary>
    public Limits? Of(ParseResult parse) => !Paths(parse).Any() ? null : new Limits
    {
        SendBytesPerSecond = Number("--limit-send", parse.GetValue(_send)),
        ReceiveBytesPerSecond = Number("--limit-receive", parse.GetValue(_receive)),
        OperationsPerSecond = Number("--limit-ops", parse.GetValue(_operations)),
        OpenConnections = Number("--limit-conns", parse.GetValue(_connections)),
        ConnectionsPerSecond = Number("--limit-conn-rate", parse.GetValue(_rate)),
        PoolBytes = (ulong)Commands.Changes.Bytes("--limit-pool", parse.GetValue(_pool)),
    };

    /// <summary>The fields that were given.</summary>
    public IEnumerable<string> Paths(ParseResult parse) => new (Option<string?> Option, string Path)[]
    {
        (_send, "limits.send_bytes_per_second"), (_receive, "limits.receive_bytes_per_second"), (_operations, "limits.operations_per_second"),
        (_connections, "limits.open_connections"), (_rate, "limits.connections_per_second"),
        (_pool, "limits.pool_bytes"),
    }.Where(one => parse.GetValue(one.Option) is not null).Select(one => one.Path);

    // Rates are decimal, as networks count.
    private static ulong Number(string option, string? text)
    {
        if (text is null)
        {
            return 0;
        }

        ulong factor = text.Length == 0 ? 1 : char.ToLowerInvariant(text[^1]) switch { 'k' => 1000, 'm' => 1_000_000, 'g' => 1_000_000_000, _ => 1u };
        return ulong.TryParse(factor == 1 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number <= ulong.MaxValue / factor
            ? number * factor
            : throw CliException.Usage($"{option} {text}: a number, as 125000000 or 125M; 0: no limit");
    }
}
