using System.Diagnostics;
using System.Text.RegularExpressions;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/entrypoints.txt, and what the libc and the guest library export.</summary>
internal static partial class EntryPoints
{
    /// <summary>The list: a name (a star at its end stands for any rest), and why it need not be exported, or null.</summary>
    public static IReadOnlyList<(string Section, string Name, string? Reason)> Read()
    {
        List<(string, string, string?)> list = [];
        string section = "";
        foreach (string line in File.ReadAllLines(Programs.Path("entrypoints.txt")))
        {
            if (line.StartsWith("# ", StringComparison.Ordinal))
            {
                section = line[2..];
            }
            else if (line.Length > 0)
            {
                string[] parts = line.Split(": ", 2);
                list.Add((section, parts[0], parts.Length > 1 ? parts[1] : null));
            }
        }

        return list;
    }

    /// <summary>Functions that a library exports under a public version.</summary>
    public static IReadOnlySet<string> ExportsOf(string library)
    {
        using Process nm = Process.Start(new ProcessStartInfo("nm", ["-D", "--defined-only", library]) { RedirectStandardOutput = true })!;
        string output = nm.StandardOutput.ReadToEnd();
        nm.WaitForExit();
        Assert.Equal(0, nm.ExitCode);
        return output.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words.Length == 3 && words[1] is "T" or "W" or "i" && !words[2].Contains("PRIVATE", StringComparison.Ordinal))
            .Select(words => words[2].Split('@')[0]).ToHashSet();
    }

    /// <summary>The libc of this process.</summary>
    public static string Libc() =>
        File.ReadLines("/proc/self/maps").Select(line => line.Split(' ')[^1]).First(path => path.EndsWith("/libc.so.6", StringComparison.Ordinal));

    public static bool Matches(string pattern, string name) =>
        pattern.EndsWith('*') ? name.StartsWith(pattern[..^1], StringComparison.Ordinal) : name == pattern;

    /// <summary>Names that sound like sockets and fds, and are not those of files, threads, directories and the like.</summary>
    public static bool SoundsLikeASocketCall(string name) => Socket().IsMatch(name) && !Other().IsMatch(name);

    [GeneratedRegex(
        "read|write|send|recv|sock|poll|select|accept|^_*bind|listen|connect|close|dup[23]?$|fcntl|ioctl|splice|^tee$|sendfile|shutdown|getpeer|isfdtype|copy_file|rcmd|rexec|resvport"
        + "|^svc|^clnt|pidfd|^aio|lio_|^fdopen$|dprintf|^_?exec|^f?execv|spawn|fork|syscall|getaddr|gethost|getnameinfo|res_n?(send|query|search)|getifaddrs|^fstat|^daemon|syslog|popen|p?msg$")]
    private static partial Regex Socket();

    [GeneratedRegex(
        "^_IO|pthread|thread|^(close|read|rewind|seek)dir|readdir|readlink|_?bindtextdomain|bind_textdomain|catclose|iconv|dlclose|^fts|^mq_|sem_close|strn?dup|wcsdup|xdr_|setns|^re_|regexec"
        + "|tcsend|fstatfs|fstatvfs|^msg|fmtmsg|^openlog|setlogmask|sched_")]
    private static partial Regex Other();
}
