using System.Globalization;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>On which CPUs CoreEngine and the NSMs run, and the programs of guests (nk run). Lists as cpuset(7) has them; empty: wherever the kernel puts them.</summary>
internal sealed record Placement(string Parts, string Programs)
{
    /// <summary>The kernel's scheduler decides.</summary>
    public static readonly Placement Spread = new("", "");

    /// <summary>What the setting may say.</summary>
    public const string Rule = "it is spread, saving, or CPUs that nkd may run on, as 0-1 or 0,2";

    /// <summary>
    /// "spread"; "saving": everything on one CPU, the last one that nkd may use (the first one mostly has the machine's interrupts); or a list for CoreEngine and the NSMs. Null when it is
    /// none of these.
    /// </summary>
    public static Placement? TryParse(string value, SortedSet<int> allowed)
    {
        if (value is "spread")
        {
            return Spread;
        }

        if (value is "saving")
        {
            string one = allowed.Max.ToString(CultureInfo.InvariantCulture);
            return new Placement(one, one);
        }

        return CpuList.Parse(value) is { } cpus && cpus.IsSubsetOf(allowed) ? new Placement(value, "") : null;
    }
}
