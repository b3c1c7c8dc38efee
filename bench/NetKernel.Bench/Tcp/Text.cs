using System.Globalization;

namespace NetKernel.Bench.Tcp;

/// <summary>How figures are written.</summary>
internal static class Text
{
    public static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>Bits per second.</summary>
    public static string Bits(double value) =>
        value >= 1e9 ? Invariant($"{value / 1e9:F2} Gbit/s") : value >= 1e6 ? Invariant($"{value / 1e6:F1} Mbit/s") : Invariant($"{value / 1e3:F0} kbit/s");

    /// <summary>Microseconds.</summary>
    public static string Micros(double value) => value < 100 ? Invariant($"{value:F1} µs") : Invariant($"{value:F0} µs");

    /// <summary>Requests or connections per second.</summary>
    public static string PerSecond(double value) => Invariant($"{value:F0}/s");

    /// <summary>CPU seconds.</summary>
    public static string Seconds(double value) => value < 10 ? Invariant($"{value:F2}") : Invariant($"{value:F1}");

    /// <summary>Bytes, in MiB.</summary>
    public static string Mib(double bytes) => Invariant($"{bytes / 1048576:F1} MiB");
}
