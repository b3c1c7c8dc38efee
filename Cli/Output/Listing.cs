using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using NetKernel.ControlPlane.Api;

namespace NetKernel.Cli.Output;

/// <summary>-o table|wide|json for every list.</summary>
internal static class Listing
{
    public static readonly string[] Formats = ["table", "wide", "json"];

    private static readonly JsonSerializerOptions Indented = new(ContractJson.Default.Options) { WriteIndented = true };

    public static void Print<T>(TextWriter output, string format, T data, Func<Table> table)
    {
        if (format == "json")
        {
            output.WriteLine(Json(data));
        }
        else
        {
            output.Write(table().Text(wide: format == "wide"));
        }
    }

    public static string Json<T>(T data) => JsonSerializer.Serialize(data, (JsonTypeInfo<T>)Indented.GetTypeInfo(typeof(T)));
}
