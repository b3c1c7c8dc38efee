using System.Globalization;
using Google.Protobuf.WellKnownTypes;

namespace NetKernel.Cli;

/// <summary>Times and lengths of time on the command line. All times are UTC.</summary>
internal static class Times
{
    private const string Usual = "yyyy-MM-ddTHH:mm:ssZ";

    private static readonly string[] Forms = ["yyyy-MM-dd", "yyyy-MM-ddTHH:mm", "yyyy-MM-ddTHH:mmZ", "yyyy-MM-ddTHH:mm:ss", Usual, "yyyy-MM-dd HH:mm", "yyyy-MM-dd HH:mm:ss"];

    /// <summary>2026-11-01, 2026-11-01T08:00:00Z, now, or how long ago: 90m, 2h, 7d.</summary>
    public static DateTimeOffset Parse(string option, string text, DateTimeOffset now)
    {
        if (text == "now")
        {
            return now;
        }

        if (DateTimeOffset.TryParseExact(text, Forms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTimeOffset time))
        {
            return time;
        }

        return Length(text) is { } ago ? now - ago : throw CliException.Usage($"{option} {text}: a time in UTC, as 2026-11-01 or 2026-11-01T08:00:00Z, or how long ago, as 90m, 2h or 7d");
    }

    /// <summary>10s, 5m, 2h, 7d.</summary>
    public static TimeSpan ParseLength(string option, string text) =>
        Length(text) ?? throw CliException.Usage($"{option} {text}: a length of time, as 10s, 5m, 1h or 1d");

    public static string Text(DateTime utc) => utc.ToString(Usual, CultureInfo.InvariantCulture);

    /// <summary>How a process last ended, with the time; empty when it never did.</summary>
    public static string LastExit(string how, Timestamp? time) => how.Length == 0 ? "" : time is null ? how : $"{how} at {Text(time.ToDateTime())}";

    private static TimeSpan? Length(string text)
    {
        double? unit = text.Length < 2 ? null : text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => null };
        return unit is { } seconds && uint.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number is > 0 and < 1_000_000_000
            ? TimeSpan.FromSeconds(Math.Min(number * seconds, 1e10)) : null;
    }
}
