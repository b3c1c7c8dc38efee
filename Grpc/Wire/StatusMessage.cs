using System.Text;

namespace Grpc.Wire;

/// <summary>grpc-message: UTF-8, what is not printable ASCII (and the percent sign) as %XX (gRPC over HTTP/2, Status-Message).</summary>
internal static class StatusMessage
{
    internal static string Encode(string text)
    {
        if (!text.Any(c => c is < ' ' or > '~' or '%'))
        {
            return text;
        }

        var result = new StringBuilder();
        foreach (byte b in Encoding.UTF8.GetBytes(text))
        {
            _ = b is >= 0x20 and <= 0x7E and not (byte)'%' ? result.Append((char)b) : result.Append('%').Append(b.ToString("X2", System.Globalization.CultureInfo.InvariantCulture));
        }

        return result.ToString();
    }

    /// <summary>Malformed escapes stay as they are.</summary>
    internal static string Decode(string text)
    {
        if (!text.Contains('%', StringComparison.Ordinal))
        {
            return text;
        }

        var bytes = new List<byte>(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '%' && i + 2 < text.Length && char.IsAsciiHexDigit(text[i + 1]) && char.IsAsciiHexDigit(text[i + 2]))
            {
                bytes.Add(Convert.ToByte(text.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
            {
                bytes.AddRange(Encoding.UTF8.GetBytes(text, i, 1));
            }
        }

        return Encoding.UTF8.GetString([.. bytes]);
    }
}
