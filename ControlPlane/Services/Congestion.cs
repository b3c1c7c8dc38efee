namespace NetKernel.ControlPlane.Services;

/// <summary>Which congestion control an NSM can have here: root any that the kernel has, others those that the kernel lets everybody choose.</summary>
internal static class Congestion
{
    private static readonly string[] Known = ["cubic", "bbr", "reno"];

    /// <summary>cubic where it may be chosen, else what the kernel takes by itself.</summary>
    public static string Default() => Choose(Environment.IsPrivilegedProcess ? List("available") : List("allowed"), List(null));

    /// <summary>Throws with what to do when it cannot be had.</summary>
    public static void Check(string field, string wanted)
    {
        if (!Known.Contains(wanted))
        {
            throw ServiceException.Invalid(field, $"congestion control '{wanted}': it is one of {string.Join(", ", Known)}");
        }

        string[] available = List("available");
        if (available.Length > 0 && !available.Contains(wanted))
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"this kernel has no {wanted}: modprobe tcp_{wanted}");
        }

        string[] allowed = List("allowed");
        if (!Environment.IsPrivilegedProcess && !allowed.Contains(wanted))
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition,
                $"{wanted} may not be chosen without root here, only {string.Join(", ", allowed)}: sysctl net.ipv4.tcp_allowed_congestion_control=\"{string.Join(' ', allowed)} {wanted}\"");
        }
    }

    internal static string Choose(string[] permitted, string[] current) =>
        permitted.Length == 0 || permitted.Contains("cubic") ? "cubic"
        : current.Length > 0 && permitted.Contains(current[0]) && Known.Contains(current[0]) ? current[0]
        : permitted.FirstOrDefault(Known.Contains, "cubic");

    private static string[] List(string? kind)
    {
        string path = $"/proc/sys/net/ipv4/tcp_{(kind is null ? "" : kind + "_")}congestion_control";
        return File.Exists(path) ? File.ReadAllText(path).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries) : [];
    }
}
