using System.Globalization;
using System.Runtime.InteropServices;

namespace NetKernel.Bench.Tcp;

/// <summary>What processes hold in memory.</summary>
internal static class MemoryUse
{
    /// <summary>Resident bytes of a process.</summary>
    public static double Resident(int pid)
    {
        try
        {
            string line = File.ReadLines(Text.Invariant($"/proc/{pid}/status")).First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            return 1024 * double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            return 0;
        }
    }

    /// <summary>Bytes behind the memfds that any of the processes maps or has open, each file counted once: what is allocated, not what is mapped.</summary>
    public static double SharedFiles(IEnumerable<int> pids)
    {
        var seen = new Dictionary<(ulong, ulong), double>();
        foreach (string folder in pids.SelectMany(pid => new[] { $"/proc/{pid}/map_files", $"/proc/{pid}/fd" }).Where(Directory.Exists))
        {
            try
            {
                foreach (FileInfo file in new DirectoryInfo(folder).EnumerateFiles())
                {
                    if (file.LinkTarget?.StartsWith("/memfd:", StringComparison.Ordinal) == true && Stat(file.FullName, out FileStat stat) == 0)
                    {
                        seen[(stat.Device, stat.Inode)] = 512.0 * stat.Blocks;
                    }
                }
            }
            catch (IOException)
            {
                // The process has just ended.
            }
        }

        return seen.Values.Sum();
    }

    [DllImport("libc", EntryPoint = "stat")]
    private static extern int Stat([MarshalAs(UnmanagedType.LPUTF8Str)] string path, out FileStat stat);

    // struct stat of x86-64.
    [StructLayout(LayoutKind.Explicit, Size = 144)]
    private struct FileStat
    {
        [FieldOffset(0)] public ulong Device;
        [FieldOffset(8)] public ulong Inode;
        [FieldOffset(64)] public long Blocks;
    }
}
