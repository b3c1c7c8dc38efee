using System.Globalization;

namespace Grpc.Wire;

/// <summary>The grpc-timeout header: one to eight digits and a unit (gRPC over HTTP/2, Timeout).</summary>
internal static class GrpcTimeout
{
    internal const string Header = "grpc-timeout";
    private const long MostValue = 99_999_999;

    /// <summary>Reads it; false when it is malformed.</summary>
    internal static bool TryParse(string text, out TimeSpan timeout)
    {
        timeout = default;
        if (text.Length is < 2 or > 9 || !long.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out long value))
        {
            return false;
        }

        long ticks = text[^1] switch
        {
            'H' => TimeSpan.TicksPerHour,
            'M' => TimeSpan.TicksPerMinute,
            'S' => TimeSpan.TicksPerSecond,
            'm' => TimeSpan.TicksPerMillisecond,
            'u' => TimeSpan.TicksPerMicrosecond,
            'n' => 0,
            _ => -1,
        };
        if (ticks < 0)
        {
            return false;
        }

        timeout = TimeSpan.FromTicks(ticks == 0 ? value / TimeSpan.NanosecondsPerTick : value * ticks);
        return true;
    }

    /// <summary>Writes it in the finest unit that fits, rounded up.</summary>
    internal static string Format(TimeSpan timeout)
    {
        if (timeout <= TimeSpan.Zero)
        {
            return "1n";
        }

        foreach ((long ticks, char unit) in new[] { (TimeSpan.TicksPerMicrosecond, 'u'), (TimeSpan.TicksPerMillisecond, 'm'), (TimeSpan.TicksPerSecond, 'S'), (TimeSpan.TicksPerMinute, 'M') })
        {
            long value = (timeout.Ticks / ticks) + (timeout.Ticks % ticks == 0 ? 0 : 1);
            if (value <= MostValue)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{value}{unit}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{Math.Min(timeout.Ticks / TimeSpan.TicksPerHour, MostValue)}H");
    }
}
