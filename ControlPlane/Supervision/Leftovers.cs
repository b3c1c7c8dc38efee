using System.Globalization;
using NetKernel.ControlPlane.Network;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>Data-plane processes that a killed nkd left, known by their program and by the run directory on their command line.</summary>
internal static class Leftovers
{
    private static readonly string[] Programs = ["nk-engine", "nk-nsm-kernel"];

    public static List<int> Find(string runDirectory)
    {
        var found = new List<int>();
        foreach (string path in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out int pid) && IsOurs(path, runDirectory))
            {
                found.Add(pid);
            }
        }

        return found;
    }

    public static void EndProcesses(string runDirectory) => ProcessesInside.End(() => Find(runDirectory));

    private static bool IsOurs(string process, string runDirectory)
    {
        try
        {
            string[] words = File.ReadAllText(Path.Combine(process, "cmdline")).Split('\0');
            int at = Array.IndexOf(words, "--run-dir");
            return at > 0 && at + 1 < words.Length && words[at + 1] == runDirectory
                && Programs.Any(program => words.Take(at).Any(word => Path.GetFileNameWithoutExtension(word) == program));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}
