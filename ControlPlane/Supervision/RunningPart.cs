using System.Globalization;
using NetKernel.ControlPlane.Network;

namespace NetKernel.ControlPlane.Supervision;

/// <summary>
/// A data-plane process that runs for a run directory, known by its program and by the run directory on its command line: what a killed nkd left, to be taken over or
/// ended. Nsm is null for CoreEngine.
/// </summary>
internal sealed record RunningPart(int Pid, string Program, uint? Nsm, IReadOnlyList<string> Arguments)
{
    private const string EngineProgram = "nk-engine", NsmPrefix = "nk-nsm-";

    public bool IsEngine => Program == EngineProgram;

    public static List<RunningPart> Find(string runDirectory)
    {
        var found = new List<RunningPart>();
        foreach (string path in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out int pid) && Describe(pid, runDirectory) is { } part)
            {
                found.Add(part);
            }
        }

        return found;
    }

    public static void EndAll(string runDirectory) => ProcessesInside.End(() => [.. Find(runDirectory).Select(part => part.Pid)]);

    /// <summary>Null when the process is none of this run directory's.</summary>
    public static RunningPart? Describe(int pid, string runDirectory)
    {
        string[] words;
        try
        {
            words = File.ReadAllText($"/proc/{pid}/cmdline").Split('\0', StringSplitOptions.RemoveEmptyEntries);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        int at = Array.IndexOf(words, "--run-dir");
        if (at <= 0 || at + 1 >= words.Length || words[at + 1] != runDirectory)
        {
            return null;
        }

        string? program = words.Take(at).Select(word => Path.GetFileNameWithoutExtension(word))
            .FirstOrDefault(word => word == EngineProgram || word.StartsWith(NsmPrefix, StringComparison.Ordinal));
        if (program is null)
        {
            return null;
        }

        int id = Array.IndexOf(words, "--id");
        return new RunningPart(
            pid, program, id > 0 && id + 1 < words.Length && uint.TryParse(words[id + 1], CultureInfo.InvariantCulture, out uint nsm) ? nsm : null, words[at..]);
    }
}
