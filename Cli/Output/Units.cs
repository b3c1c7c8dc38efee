using System.Globalization;

namespace NetKernel.Cli.Output;

/// <summary>Numbers with units, for people. JSON has the plain numbers.</summary>
internal static class Units
{
    private static readonly string[] Bytes = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    private static readonly string[] Counts = ["", "k", "M", "G", "T", "P", "E"];

    /// <summary>1234567 is "1.2 MB"; decimal, as network tools count.</summary>
    public static string Size(double bytes) => Scale(bytes, Bytes);

    /// <summary>1234567 is "1.2M".</summary>
    public static string Count(double number)
    {
        string text = Scale(number, Counts);
        return text.Replace(" ", "", StringComparison.Ordinal);
    }

    /// <summary>"1.2 MB/s".</summary>
    public static string Rate(double bytesPerSecond) => Size(bytesPerSecond) + "/s";

    /// <summary>"350 us", "12 ms", "3.4 s", "5 min", "2.1 h".</summary>
    public static string Time(double seconds) => seconds switch
    {
        < 0.001 => Text(seconds * 1e6, "F0") + " us",
        < 1 => Text(seconds * 1e3, "F0") + " ms",
        < 120 => Text(seconds, "F1") + " s",
        < 7200 => Text(seconds / 60, "F0") + " min",
        _ => Text(seconds / 3600, "F1") + " h",
    };

    /// <summary>0.125 of a core is "12.5%".</summary>
    public static string Percent(double share) => Text(share * 100, "F1") + "%";

    private static string Scale(double number, string[] units)
    {
        int unit = 0;
        while (number >= 999.95 && unit < units.Length - 1)
        {
            number /= 1000;
            unit++;
        }

        return $"{Text(number, unit == 0 ? "F0" : "F1")} {units[unit]}".TrimEnd();
    }

    private static string Text(double number, string format) => number.ToString(format, CultureInfo.InvariantCulture);
}
