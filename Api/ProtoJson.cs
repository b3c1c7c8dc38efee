using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;

namespace NetKernel.Api;

/// <summary>
/// Messages as JSON for people and scripts: camelCase names, 64-bit numbers as numbers (protobuf's own mapping makes them strings), values of
/// enumerations as "no-nsm" for GUEST_STATE_NO_NSM. Empty strings, unset messages and empty lists are left out, numbers and booleans never.
/// </summary>
public static class ProtoJson
{
    /// <summary>One object; several lines when indented.</summary>
    public static string Text(IMessage message, bool indented = true) => Text(json => Write(json, message), indented);

    /// <summary>What is declared only: of resources the fields below 20, and nothing that holds its default.</summary>
    public static string Declared(IMessage message) => Text(json => Write(json, message, declared: true), indented: true);

    /// <summary>An array of objects.</summary>
    public static string Text(IEnumerable<IMessage> messages, bool indented = true) => Text(
        json =>
        {
            json.WriteStartArray();
            foreach (IMessage message in messages)
            {
                Write(json, message);
            }

            json.WriteEndArray();
        },
        indented);

    /// <summary>A field's value alone; empty when it is not set.</summary>
    public static string Value(IMessage message, FieldDescriptor field)
    {
        object? value = field.Accessor.GetValue(message);
        return value is null || IsEmpty(field, value) ? "" : Text(json => WriteField(json, field, value), indented: false);
    }

    /// <summary>"no-nsm" for GUEST_STATE_NO_NSM of GuestState; "update" for UPDATE.</summary>
    public static string Name(EnumDescriptor type, int number)
    {
        string? name = type.FindValueByNumber(number)?.Name;
        if (name is null)
        {
            return number.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }

        string prefix = string.Concat(type.Name.Select((c, i) => i > 0 && char.IsUpper(c) ? "_" + c : c.ToString())).ToUpperInvariant() + "_";
        return (name.StartsWith(prefix, StringComparison.Ordinal) ? name[prefix.Length..] : name).ToLowerInvariant().Replace('_', '-');
    }

    /// <summary>Whether a field holds its default.</summary>
    public static bool IsEmpty(FieldDescriptor field, object value) =>
        field.IsMap ? ((System.Collections.IDictionary)value).Count == 0
        : field.IsRepeated ? ((System.Collections.IList)value).Count == 0
        : value switch { string text => text.Length == 0, bool flag => !flag, int n => n == 0, uint n => n == 0, long n => n == 0, ulong n => n == 0, double n => n == 0, System.Enum e => Convert.ToInt32(e, null) == 0, _ => false };

    private static string Text(Action<Utf8JsonWriter> write, bool indented)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            write(json);
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static void Write(Utf8JsonWriter json, IMessage message, bool declared = false)
    {
        if (message is Timestamp time)
        {
            json.WriteStringValue(time.ToDateTime().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", System.Globalization.CultureInfo.InvariantCulture));
            return;
        }

        json.WriteStartObject();
        foreach (FieldDescriptor field in message.Descriptor.Fields.InFieldNumberOrder())
        {
            object? value = field.Accessor.GetValue(message);
            bool leaveOut = value is null || (field.ContainingOneof is { } one && one.Accessor.GetCaseFieldDescriptor(message) != field)
                || ((field.IsRepeated || field.FieldType is FieldType.String or FieldType.Bytes) && IsEmpty(field, value));
            leaveOut |= declared && (field.FieldNumber >= 20 || (value is not IMessage && IsEmpty(field, value!)));
            if (!leaveOut)
            {
                json.WritePropertyName(declared ? field.Name : field.JsonName);
                WriteField(json, field, value!, declared);
            }
        }

        json.WriteEndObject();
    }

    private static void WriteField(Utf8JsonWriter json, FieldDescriptor field, object value, bool declared = false)
    {
        if (field.IsMap)
        {
            json.WriteStartObject();
            var map = (System.Collections.IDictionary)value;
            foreach (string key in map.Keys.Cast<object>().Select(key => (string)key).Order(StringComparer.Ordinal))
            {
                json.WritePropertyName(key);
                WriteOne(json, field.MessageType.FindFieldByNumber(2), map[key]!);
            }

            json.WriteEndObject();
        }
        else if (field.IsRepeated)
        {
            json.WriteStartArray();
            foreach (object one in (System.Collections.IEnumerable)value)
            {
                WriteOne(json, field, one, declared);
            }

            json.WriteEndArray();
        }
        else
        {
            WriteOne(json, field, value, declared);
        }
    }

    private static void WriteOne(Utf8JsonWriter json, FieldDescriptor field, object value, bool declared = false)
    {
        switch (value)
        {
            case IMessage message: Write(json, message, declared); break;
            case string text: json.WriteStringValue(text); break;
            case bool flag: json.WriteBooleanValue(flag); break;
            case int number: json.WriteNumberValue(number); break;
            case uint number: json.WriteNumberValue(number); break;
            case long number: json.WriteNumberValue(number); break;
            case ulong number: json.WriteNumberValue(number); break;
            case double number: json.WriteNumberValue(number); break;
            case ByteString bytes: json.WriteBase64StringValue(bytes.Span); break;
            default: json.WriteStringValue(Name(field.EnumType, Convert.ToInt32(value, null))); break;
        }
    }
}
