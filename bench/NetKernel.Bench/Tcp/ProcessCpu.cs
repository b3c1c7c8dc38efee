using System.Globalization;
using System.Runtime.InteropServices;

namespace NetKernel.Bench.Tcp;

/// <summary>CPU time of other processes: the kernel's clock of each, in nanoseconds, ended threads included.</summary>
internal static class ProcessCpu
{
    /// <summary>CPU seconds of a process so far; 0 when it is gone.</summary>
    public static double Seconds(int pid) =>
        pid > 0 && ClockId(pid, out int clock) == 0 && ReadClock(clock, out Timespec time) == 0 ? time.Seconds + (time.Nanoseconds / 1e9) : 0;

    /// <summary>CPU seconds of a process and everything that came out of it and lives.</summary>
    public static double TreeSeconds(int pid) => Tree(pid).Sum(Seconds);

    /// <summary>A process and its descendants.</summary>
    public static List<int> Tree(int root)
    {
        List<int> found = [root];
        for (int i = 0; i < found.Count; i++)
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{found[i]}/task/{found[i]}/children");
            try
            {
                found.AddRange(File.ReadAllText(path).Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text => int.Parse(text, CultureInfo.InvariantCulture)));
            }
            catch (IOException)
            {
                // It has just ended.
            }
        }

        return found;
    }

    [DllImport("libc", EntryPoint = "clock_getcpuclockid")]
    private static extern int ClockId(int pid, out int clock);

    [DllImport("libc", EntryPoint = "clock_gettime")]
    private static extern int ReadClock(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}

/// <summary>CPU seconds by who used them, per unit of work where it says so.</summary>
internal readonly record struct CpuUse(double Server, double Client, double Engine, double Nsm)
{
    public double Sum => Server + Client + Engine + Nsm;

    public static CpuUse operator -(CpuUse a, CpuUse b) => new(a.Server - b.Server, a.Client - b.Client, a.Engine - b.Engine, a.Nsm - b.Nsm);

    public static CpuUse operator /(CpuUse a, double work) => new(a.Server / work, a.Client / work, a.Engine / work, a.Nsm / work);
}
