using System.Collections;
using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using NetKernel.Api;
using YamlDotNet.Core;
using YamlDotNet.RepresentationModel;

namespace NetKernel.Cli.Config;

/// <summary>
/// Reads YAML into a message, field by field: names as in the .proto (send_buffer) or as in JSON (sendBuffer). Whatever does not fit is refused with its file and line,
/// and nothing is passed over in silence.
/// </summary>
internal static class YamlMessage
{
    /// <summary>Fills a message. Several documents in a file are read as one.</summary>
    public static void Read(string file, string text, IMessage message)
    {
        var stream = new YamlStream();
        try
        {
            stream.Load(new StringReader(text));
        }
        catch (YamlException e)
        {
            throw CliException.Usage($"{file}:{e.Start.Line}: this is not YAML: {(e.InnerException ?? e).Message}");
        }

        foreach (YamlDocument document in stream.Documents)
        {
            if (document.RootNode is YamlScalarNode { Value: null or "" })
            {
                continue;
            }

            Fill(file, document.RootNode, message);
        }
    }

    private static void Fill(string file, YamlNode node, IMessage message)
    {
        if (node is not YamlMappingNode mapping)
        {
            throw Wrong(file, node, $"here belong fields of a {message.Descriptor.Name}: {Known(message.Descriptor)}");
        }

        foreach ((YamlNode key, YamlNode value) in mapping.Children)
        {
            string name = (key as YamlScalarNode)?.Value ?? "";
            FieldDescriptor field = message.Descriptor.Fields.InDeclarationOrder().FirstOrDefault(field => field.Name == name || field.JsonName == name)
                ?? throw Wrong(file, key, $"a {message.Descriptor.Name} has no field '{name}': it has {Known(message.Descriptor)}");
            if (!IsDeclared(field))
            {
                throw Wrong(file, key, $"'{name}' is told by nkd and cannot be declared: leave it out");
            }

            if (field.IsMap)
            {
                if (value is not YamlMappingNode pairs)
                {
                    throw Wrong(file, value, $"'{name}' is a mapping, as {name}: {{key: value}}");
                }

                var target = (IDictionary)field.Accessor.GetValue(message);
                foreach ((YamlNode one, YamlNode of) in pairs.Children)
                {
                    target[((YamlScalarNode)one).Value ?? ""] = (of as YamlScalarNode)?.Value ?? throw Wrong(file, of, $"'{one}' of {name} is a text");
                }
            }
            else if (field.IsRepeated)
            {
                if (value is not YamlSequenceNode items)
                {
                    throw Wrong(file, value, $"'{name}' is a list: write each item on a line of its own behind '- '");
                }

                var target = (IList)field.Accessor.GetValue(message);
                foreach (YamlNode item in items)
                {
                    _ = target.Add(One(file, item, field));
                }
            }
            else if (value is not YamlScalarNode { Value: null or "" or "null" or "~" } || value is YamlScalarNode { Style: not ScalarStyle.Plain })
            {
                field.Accessor.SetValue(message, One(file, value, field));
            }
        }
    }

    private static object One(string file, YamlNode node, FieldDescriptor field)
    {
        if (field.FieldType == FieldType.Message)
        {
            IMessage nested = field.MessageType.Parser.ParseFrom(ByteString.Empty);
            Fill(file, node, nested);
            return nested;
        }

        string text = (node as YamlScalarNode)?.Value ?? throw Wrong(file, node, $"'{field.Name}' is a single value");
        CultureInfo plain = CultureInfo.InvariantCulture;
        object? value = field.FieldType switch
        {
            FieldType.String => text,
            FieldType.Bool => text is "true" or "false" ? text == "true" : null,
            FieldType.Int32 => int.TryParse(text, NumberStyles.AllowLeadingSign, plain, out int number) ? number : null,
            FieldType.UInt32 => uint.TryParse(text, NumberStyles.None, plain, out uint number) ? number : null,
            FieldType.Int64 => long.TryParse(text, NumberStyles.AllowLeadingSign, plain, out long number) ? number : Bytes(text) is ulong bytes ? (long)bytes : null,
            FieldType.UInt64 => Bytes(text),
            FieldType.Double => double.TryParse(text, NumberStyles.Float, plain, out double number) ? number : null,
            _ => null,
        };
        return value ?? throw Wrong(file, node, $"'{text}' is no value of '{field.Name}': it is {(field.FieldType == FieldType.Bool ? "true or false" : "a number, as 262144, 256k or 1M")}");
    }

    // Numbers of bytes may have binary multiples, as on the command line.
    private static object? Bytes(string text)
    {
        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch { 'k' => 10, 'm' => 20, 'g' => 30, _ => 0 };
        return ulong.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number <= ulong.MaxValue >> shift
            ? number << shift : null;
    }

    // In the resources, what is only told has numbers from 20.
    private static bool IsDeclared(FieldDescriptor field) => field.FieldNumber < 20;

    private static string Known(MessageDescriptor type) => string.Join(", ", type.Fields.InFieldNumberOrder().Where(IsDeclared).Select(field => field.Name));

    private static CliException Wrong(string file, YamlNode node, string message) => CliException.Usage($"{file}:{node.Start.Line}: {message}");
}
