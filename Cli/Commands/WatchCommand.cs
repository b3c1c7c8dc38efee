using System.Globalization;
using Google.Protobuf;
using NetKernel.Api;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>--watch of a list: what there is, and then each change as it comes, one line each.</summary>
internal static class WatchCommand
{
    public static int Run(NkdClient client, string format, string kind)
    {
        if (format is "table" or "wide")
        {
            Console.Out.WriteLine(Line("VERSION", "EVENT", "NAME", "STATE", "REASON"));
        }

        foreach (Event e in client.Watch(kind))
        {
            string? line = format switch
            {
                "json" => ProtoJson.Text(e, indented: false),
                "yaml" => "---\n" + Output.Yaml.OfJson(ProtoJson.Text(e)).TrimEnd('\n'),
                _ when e.Type == Event.Types.Type.Synced => null,
                _ => Text(e),
            };
            if (line is not null)
            {
                Console.Out.WriteLine(line);
                Console.Out.Flush();
            }
        }

        throw CliException.Failure("nkd has ended the stream: it is being stopped or started again; watch again");
    }

    private static string Text(Event e)
    {
        (string name, string state, string reason) = e.ObjectCase switch
        {
            Event.ObjectOneofCase.Guest => (e.Guest.Name, Lists.State(e.Guest), e.Guest.Reason),
            Event.ObjectOneofCase.Nsm => (e.Nsm.Name, Lists.State(e.Nsm), e.Nsm.Reason),
            Event.ObjectOneofCase.Tenant => (e.Tenant.Name, "-", ""),
            Event.ObjectOneofCase.Policy => (e.Policy.Name, "-", e.Policy.Problem),
            _ => ("-", "-", ""),
        };
        return Line(
            e.ResourceVersion.ToString(CultureInfo.InvariantCulture), e.Type.ToString().ToLowerInvariant(), name,
            e.Type == Event.Types.Type.Deleted ? "-" : state, e.Type == Event.Types.Type.Deleted ? "" : reason);
    }

    private static string Line(string version, string type, string name, string state, string reason) =>
        $"{version,-9}{type,-10}{name,-26}{state,-10}{string.Concat(reason.Select(c => char.IsControl(c) ? '?' : c))}".TrimEnd();
}
