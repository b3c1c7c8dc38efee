namespace NetKernel.Cli.Run;

/// <summary>
/// What .NET's diagnostics put into the temporary folder for this process: a socket and two pipes. They go when the runtime ends in order, which it does not when execve puts another
/// program in its place.
/// </summary>
internal static class RuntimeFiles
{
    /// <summary>Removes them; what cannot be removed stays.</summary>
    public static void Remove()
    {
        try
        {
            // Named after the process id and the start time, in ticks as proc(5) has it: field 22.
            string stat = File.ReadAllText("/proc/self/stat");
            string started = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[19];
            string process = $"{Environment.ProcessId}-{started}";
            foreach (string name in new[] { $"dotnet-diagnostic-{process}-socket", $"clr-debug-pipe-{process}-in", $"clr-debug-pipe-{process}-out" })
            {
                File.Delete(Path.Combine(Path.GetTempPath(), name));
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // They are litter, not a reason to refuse the program.
        }
    }
}
