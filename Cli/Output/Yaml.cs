using System.Text;
using System.Text.Json;

namespace NetKernel.Cli.Output;

/// <summary>YAML as Kubernetes users write it: block style, strings quoted only where they would be read as something else.</summary>
internal static class Yaml
{
    private static readonly string[] Words = ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "~"];

    /// <summary>A JSON document as YAML.</summary>
    public static string OfJson(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        var text = new StringBuilder();
        JsonElement root = document.RootElement;
        if (IsEmpty(root))
        {
            return Scalar(root) + "\n";
        }

        Write(text, root, 0, onLine: false);
        return text.ToString();
    }

    private static void Write(StringBuilder text, JsonElement element, int indent, bool onLine)
    {
        bool first = onLine;
        if (element.ValueKind == JsonValueKind.Array)
        {
            foreach (JsonElement one in element.EnumerateArray())
            {
                _ = text.Append(' ', first ? 0 : indent).Append("- ");
                first = false;
                if (IsEmpty(one))
                {
                    _ = text.Append(Scalar(one)).Append('\n');
                }
                else
                {
                    Write(text, one, indent + 2, onLine: true);
                }
            }

            return;
        }

        foreach (JsonProperty property in element.EnumerateObject())
        {
            _ = text.Append(' ', first ? 0 : indent).Append(Plain(property.Name) ? property.Name : JsonSerializer.Serialize(property.Name)).Append(':');
            first = false;
            if (IsEmpty(property.Value))
            {
                _ = text.Append(' ').Append(Scalar(property.Value)).Append('\n');
            }
            else
            {
                _ = text.Append('\n');
                Write(text, property.Value, property.Value.ValueKind == JsonValueKind.Array ? indent : indent + 2, onLine: false);
            }
        }
    }

    private static bool IsEmpty(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => element.GetArrayLength() == 0,
        JsonValueKind.Object => !element.EnumerateObject().Any(),
        _ => true,
    };

    private static string Scalar(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Array => "[]",
        JsonValueKind.Object => "{}",
        JsonValueKind.String => element.GetString() is { } text && Plain(text) ? text : JsonSerializer.Serialize(element.GetString()),
        _ => element.GetRawText(),
    };

    // Plain: what no YAML reader takes for a number, a truth value or a mark of structure.
    private static bool Plain(string text) =>
        text.Length > 0 && (char.IsAsciiLetter(text[0]) || text[0] is '/' or '_') && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/')
        && !Words.Contains(text.ToLowerInvariant());
}
