using System.Globalization;
using System.Runtime.InteropServices;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Guests;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// Processes by the network namespace that they are in: the kernel's word, whatever the programs do to their environment. Without a namespace
/// of its own (host mode, where user namespaces are not permitted) a guest's processes are known by the guest library's variable only.
/// </summary>
internal static class ProcessesInside
{
    private const int Terminate = 15, Kill = 9;

    /// <summary>Process ids in the namespace with this inode; none for 0.</summary>
    public static List<int> Of(ulong inode) => inode == 0 ? [] : Find(pid => NetworkNamespace.Inode($"/proc/{pid}/ns/net") == inode);

    /// <summary>Process ids whose environment has this setting.</summary>
    public static List<int> WithVariable(string setting) => Where(settings => settings.Contains(setting));

    /// <summary>Process ids by their environment.</summary>
    public static List<int> Where(Func<string[], bool> wanted) => Find(pid => wanted(Settings(pid)));

    /// <summary>A process's environment as it was at its start; empty when it cannot be read.</summary>
    public static string[] Settings(int pid)
    {
        try
        {
            return File.ReadAllText($"/proc/{pid}/environ").Split('\0', StringSplitOptions.RemoveEmptyEntries);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>Name, whether it is covered by the guest library, and if not, why. Null when the process is gone.</summary>
    public static ProcessInfo? Describe(int pid, string library)
    {
        try
        {
            string name = File.ReadAllText($"/proc/{pid}/comm").TrimEnd('\n');
            string? reason;
            try
            {
                reason = Coverage.Problem($"/proc/{pid}", library);
            }
            catch (UnauthorizedAccessException)
            {
                reason = "nkd may not look into it: it is another user's";
            }

            return new ProcessInfo { Pid = pid, Name = name, Covered = reason is null, Reason = reason ?? "" };
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Ends all processes in a namespace: asks first, then does not ask.</summary>
    public static void End(ulong inode) => End(() => Of(inode));

    public static void End(Func<List<int>> find)
    {
        for (int round = 0; round < 60; round++)
        {
            List<int> pids = find();
            if (pids.Count == 0)
            {
                return;
            }

            if (round is 0 or >= 30)
            {
                pids.ForEach(pid => SendSignal(pid, round == 0 ? Terminate : Kill));
            }

            Thread.Sleep(round < 5 ? 5 : 25);
        }
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    public static extern int SendSignal(int pid, int signal);

    private static List<int> Find(Func<int, bool> wanted)
    {
        var found = new List<int>();
        foreach (string path in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out int pid) && pid != Environment.ProcessId && wanted(pid)
                && !IsZombie(pid))
            {
                found.Add(pid);
            }
        }

        return found;
    }

    private static bool IsZombie(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[stat.LastIndexOf(')')..].StartsWith(") Z", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return true;
        }
    }
}
