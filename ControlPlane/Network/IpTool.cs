using System.Diagnostics;

namespace NetKernel.ControlPlane.Network;

/// <summary>iproute2, many commands to a process.</summary>
internal static class IpTool
{
    /// <summary>Runs commands in a namespace (null: the one nkd is in). Throws with iproute2's own words at the first that fails.</summary>
    public static void Batch(string? netns, params IReadOnlyCollection<string> commands)
    {
        if (commands.Count == 0)
        {
            return;
        }

        (int code, string error) = Run(netns, force: false, commands);
        if (code != 0)
        {
            throw new InvalidOperationException($"ip: {FirstLine(error)} (in {netns ?? "the host's namespace"}, of: {string.Join("; ", commands)})");
        }
    }

    /// <summary>The same, but goes on after failures and says nothing: for cleaning up.</summary>
    public static void BatchQuietly(string? netns, params IReadOnlyCollection<string> commands)
    {
        try
        {
            _ = commands.Count > 0 ? Run(netns, force: true, commands) : default;
        }
        catch (InvalidOperationException)
        {
            // The namespace is gone, and what was to be cleaned up with it.
        }
    }

    /// <summary>What a question is answered with, as JSON; an empty array when it fails.</summary>
    public static string Json(string netns, params IReadOnlyList<string> words)
    {
        var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string word in words.Prepend("-j"))
        {
            start.ArgumentList.Add(word);
        }

        Process? started;
        try
        {
            started = Start(netns, start);
        }
        catch (InvalidOperationException)
        {
            return "[]";
        }

        using Process process = started;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string answer = process.StandardOutput.ReadToEnd();
        _ = error.Result;
        process.WaitForExit();
        return process.ExitCode == 0 && answer.TrimStart().StartsWith('[') ? answer : "[]";
    }

    /// <summary>The interfaces of the namespace that this thread is in.</summary>
    public static IReadOnlyCollection<string> Devices() =>
        [.. File.ReadLines("/proc/thread-self/net/dev").Where(line => line.Contains(':')).Select(line => line.Split(':')[0].Trim())];

    private static (int Code, string Error) Run(string? netns, bool force, IReadOnlyCollection<string> commands)
    {
        var start = new ProcessStartInfo("ip") { RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true };
        if (force)
        {
            start.ArgumentList.Add("-force");
        }

        start.ArgumentList.Add("-batch");
        start.ArgumentList.Add("-");
        using Process process = Start(netns, start);
        foreach (string command in commands)
        {
            process.StandardInput.WriteLine(command);
        }

        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        string error = process.StandardError.ReadToEnd();
        _ = output.Result;
        process.WaitForExit();
        return (process.ExitCode, error);
    }

    // Not by `ip -n`: that copies all mounts of the machine, one for each named namespace there is, so that the thousandth guest would take longer to make than the first.
    private static Process Start(string? netns, ProcessStartInfo start) =>
        NetworkNamespace.Inside(netns is null ? null : NetworkNamespace.PathOf(netns), () => Start(start));

    private static Process Start(ProcessStartInfo start)
    {
        const string missing = "cannot start ip: apt-get install iproute2";
        try
        {
            return Process.Start(start) ?? throw new InvalidOperationException(missing);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException(missing, e);
        }
    }

    private static string FirstLine(string text)
    {
        int end = text.IndexOf('\n', StringComparison.Ordinal);
        return (end < 0 ? text : text[..end]).Trim();
    }
}
