using System.Text;

namespace NetKernel.CoreEngine.Control;

/// <summary>One line per event on standard error: key=value pairs, quoted where needed.</summary>
internal static class Log
{
    private static readonly object Gate = new();

    public static void Info(string what, params ReadOnlySpan<(string Key, object Value)> fields) => Write("info", what, fields);

    public static void Warn(string what, params ReadOnlySpan<(string Key, object Value)> fields) => Write("warn", what, fields);

    public static void Error(string what, params ReadOnlySpan<(string Key, object Value)> fields) => Write("error", what, fields);

    private static void Write(string level, string what, ReadOnlySpan<(string Key, object Value)> fields)
    {
        var line = new StringBuilder(128);
        _ = line.Append("level=").Append(level).Append(" event=").Append(what);
        foreach ((string key, object value) in fields)
        {
            _ = line.Append(' ').Append(key).Append('=');
            Append(line, value.ToString() ?? "");
        }

        lock (Gate)
        {
            Console.Error.WriteLine(line.ToString());
        }
    }

    private static void Append(StringBuilder line, string text)
    {
        bool plain = text.Length > 0;
        foreach (char c in text)
        {
            plain &= c > ' ' && c != '"' && c != '=' && c < 127;
        }

        if (plain)
        {
            _ = line.Append(text);
            return;
        }

        _ = line.Append('"');
        foreach (char c in text)
        {
            _ = c switch
            {
                '"' or '\\' => line.Append('\\').Append(c),
                < ' ' => line.Append('?'),
                _ => line.Append(c),
            };
        }

        _ = line.Append('"');
    }
}
