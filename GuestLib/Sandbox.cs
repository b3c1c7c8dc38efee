namespace NetKernel.GuestLib;

/// <summary>
/// Programs that allow themselves but a few system calls from some point on (seccomp(2)), as sshd's child before the user is known. Filters that such programs
/// bring list reading, writing and polling; any other call is the end of the process, sched_yield among them.
/// </summary>
internal static unsafe class Sandbox
{
    private const int PR_SET_SECCOMP = 22;

    private static bool s_filtered;

    /// <summary>Whether a filter is in force: no call but those that every such program allows.</summary>
    internal static bool IsFiltered => s_filtered;

    /// <summary>prctl(2).</summary>
    internal static int Control(int option, nint a, nint b, nint c, nint d)
    {
        if (option != PR_SET_SECCOMP)
        {
            return Real.prctl(option, a, b, c, d);
        }

        // Before the call: from the moment that it succeeds on, a yield of another thread would be one too many as well.
        bool before = s_filtered;
        s_filtered = true;
        int result = Real.prctl(option, a, b, c, d);
        s_filtered = before || result == 0;
        return result;
    }

    /// <summary>sched_yield(2), or as much of it as a filter lets through.</summary>
    internal static int Yield()
    {
        if (!s_filtered)
        {
            return Libc.yield();
        }

        TimeSpec now = default;
        return Real.ppoll(null, 0, &now, null);
    }
}
