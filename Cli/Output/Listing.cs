using Google.Protobuf;
using NetKernel.Api;

namespace NetKernel.Cli.Output;

/// <summary>-o table|wide|json|yaml for every list.</summary>
internal static class Listing
{
    public static readonly string[] Formats = ["table", "wide", "json", "yaml"];

    public static void Print<T>(TextWriter output, string format, IReadOnlyCollection<T> data, Func<Table> table)
        where T : IMessage => output.Write(Text(format, data, table));

    public static string Text<T>(string format, IReadOnlyCollection<T> data, Func<Table> table)
        where T : IMessage => format switch
        {
            "json" => ProtoJson.Text(data.Cast<IMessage>()) + "\n",
            "yaml" => Yaml.OfJson(ProtoJson.Text(data.Cast<IMessage>())),
            _ => table().Text(wide: format == "wide"),
        };
}
