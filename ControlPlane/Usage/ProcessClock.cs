using System.Globalization;
using System.Runtime.InteropServices;

namespace NetKernel.ControlPlane.Usage;

/// <summary>The processor time of other processes and threads, in nanoseconds, as the kernel counts it.</summary>
internal static class ProcessClock
{
    private const int SchedClock = 2; // CPUCLOCK_SCHED; clock_getcpuclockid(3) makes clock ids so

    /// <summary>A process's time, of all its threads, also those that have ended; default when there is none.</summary>
    public static unsafe ProcessTime Of(int pid)
    {
        if (pid <= 0 || StartOf(pid) is not (> 0 and var start))
        {
            return default;
        }

        long* time = stackalloc long[2];
        return GetTime((~pid << 3) | SchedClock, time) == 0 ? new ProcessTime(pid, start, (time[0] * 1_000_000_000) + time[1]) : default;
    }

    /// <summary>A thread's time; 0 when there is none.</summary>
    public static long OfThread(int pid, uint thread)
    {
        // "time on a processor, time waiting for one, times it got one": nanoseconds.
        string text = Read(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/task/{thread}/schedstat"));
        int end = text.IndexOf(' ', StringComparison.Ordinal);
        return end > 0 && long.TryParse(text.AsSpan(0, end), CultureInfo.InvariantCulture, out long time) ? time : 0;
    }

    // Field 22 of proc_pid_stat(5): when it started, in ticks since the machine did. The name in field 2 may hold anything.
    private static ulong StartOf(int pid)
    {
        string text = Read(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
        string[] fields = text[(text.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 19 && ulong.TryParse(fields[19], CultureInfo.InvariantCulture, out ulong start) ? start : 0;
    }

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // it has ended
        }
    }

    [DllImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static extern unsafe int GetTime(int clock, long* time);
}
