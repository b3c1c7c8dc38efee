using System.Globalization;

namespace NetKernel.ControlPlane.Usage;

/// <summary>How long each level of the history is kept.</summary>
internal static class Retention
{
    public const string Rule = "it is three times, for steps of 10 s, 1 min and 1 h, none shorter than the one before, as 2h,7d,400d (units m, h, d)";

    private static readonly int[] Seconds = [10, 60, 3600];

    /// <summary>10 s steps for 2 h, minutes for a week, hours for 400 days.</summary>
    public static IReadOnlyList<UsageLevel> Default { get; } = TryParse("2h,7d,400d")!;

    /// <summary>Null when it is not as <see cref="Rule"/> says.</summary>
    public static IReadOnlyList<UsageLevel>? TryParse(string text)
    {
        TimeSpan?[] times = [.. text.Split(',').Select(one => Time(one.Trim()))];
        return times.Length == Seconds.Length && times.All(time => time is not null) && times[0] <= times[1] && times[1] <= times[2]
            ? [.. Seconds.Zip(times, (seconds, time) => new UsageLevel(seconds, time!.Value))]
            : null;
    }

    private static TimeSpan? Time(string text)
    {
        double? minutes = text.Length == 0 ? null : text[^1] switch { 'm' => 1, 'h' => 60, 'd' => 1440, _ => null };
        return minutes is { } unit && uint.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number is >= 1 and <= 100_000
            ? TimeSpan.FromMinutes(number * unit) : null;
    }
}
