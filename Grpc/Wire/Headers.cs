using Grpc.Core;

namespace Grpc.Wire;

/// <summary>Metadata as HTTP headers and back.</summary>
internal static class Headers
{
    internal const string ContentType = "application/grpc";
    internal const string Status = "grpc-status";
    internal const string Message = "grpc-message";
    internal const string Encoding = "grpc-encoding";
    internal const string AcceptEncoding = "grpc-accept-encoding";

    /// <summary>Whether a content type is gRPC's: application/grpc, +proto and the like, but not grpc-web.</summary>
    internal static bool IsGrpc(string? contentType) =>
        contentType is not null && contentType.StartsWith(ContentType, StringComparison.OrdinalIgnoreCase)
        && (contentType.Length == ContentType.Length || contentType[ContentType.Length] is '+' or ';');

    /// <summary>Headers that belong to the protocol and not to the application.</summary>
    internal static bool IsReserved(string name) =>
        name.StartsWith(':') || name.StartsWith("grpc-", StringComparison.OrdinalIgnoreCase) && !name.Equals("grpc-status-details-bin", StringComparison.OrdinalIgnoreCase)
        || name.Equals("content-type", StringComparison.OrdinalIgnoreCase) || name.Equals("te", StringComparison.OrdinalIgnoreCase)
        || name.Equals("host", StringComparison.OrdinalIgnoreCase) || name.Equals("date", StringComparison.OrdinalIgnoreCase)
        || name.Equals("server", StringComparison.OrdinalIgnoreCase) || name.Equals("content-length", StringComparison.OrdinalIgnoreCase);

    /// <summary>Adds a header's value to metadata; bytes may be several in one value, separated by commas. Malformed base64 is left out.</summary>
    internal static void Read(string name, string value, Metadata metadata)
    {
        if (IsReserved(name))
        {
            return;
        }

        if (!name.EndsWith(Metadata.BinaryHeaderSuffix, StringComparison.OrdinalIgnoreCase))
        {
            metadata.Add(name, value);
            return;
        }

        foreach (string part in value.Split(','))
        {
            byte[] bytes = new byte[(part.Length * 3 / 4) + 3];
            string padded = part.Trim().TrimEnd('=');
            padded += (padded.Length % 4) switch
            {
                2 => "==",
                3 => "=",
                _ => "",
            };
            if (Convert.TryFromBase64String(padded, bytes, out int length))
            {
                metadata.Add(name, bytes[..length]);
            }
        }
    }

    /// <summary>An entry's value as it is sent.</summary>
    internal static string Value(Metadata.Entry entry) => entry.IsBinary ? Convert.ToBase64String(entry.ValueBytes) : entry.Value;
}
