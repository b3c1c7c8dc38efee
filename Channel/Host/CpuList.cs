using System.Globalization;
using System.IO;

namespace NetKernel.Channel.Host;

/// <summary>Lists of CPUs as the kernel writes them: "0-3,8" (cpuset(7), List format).</summary>
public static unsafe class CpuList
{
    /// <summary>CPUs are below this.</summary>
    public const int Most = 1024;

    /// <summary>The CPUs that this process may run on (proc_pid_status(5), Cpus_allowed_list).</summary>
    public static SortedSet<int> Allowed()
    {
        const string Field = "Cpus_allowed_list:";
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith(Field, StringComparison.Ordinal));
        return Parse(line[Field.Length..].Trim()) ?? [];
    }

    /// <summary>The CPUs of a list, or null when it is none.</summary>
    public static SortedSet<int>? Parse(string text)
    {
        var cpus = new SortedSet<int>();
        foreach (string part in text.Split(','))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !int.TryParse(ends[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
                || !int.TryParse(ends[^1], NumberStyles.None, CultureInfo.InvariantCulture, out int last) || first > last || last >= Most)
            {
                return null;
            }

            cpus.UnionWith(Enumerable.Range(first, last - first + 1));
        }

        return cpus;
    }

    /// <summary>Binds the calling thread, and what it starts or becomes, to these CPUs (sched_setaffinity(2)). An errno.</summary>
    public static int Bind(IEnumerable<int> cpus)
    {
        const nint SchedSetAffinity = 203;
        const int Words = Most / 64;
        ulong* mask = stackalloc ulong[Words];
        new Span<ulong>(mask, Words).Clear();
        foreach (int cpu in cpus)
        {
            mask[cpu / 64] |= 1ul << (cpu % 64);
        }

        return Libc.Syscall(SchedSetAffinity, 0, Words * sizeof(ulong), (nint)mask, 0, 0, 0) < 0 ? Libc.Errno : 0;
    }
}
