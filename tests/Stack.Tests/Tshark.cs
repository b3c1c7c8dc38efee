using System.Diagnostics;

namespace NetKernel.Testing;

/// <summary>tshark as the judge of captures.</summary>
internal static class Tshark
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(120);

    /// <summary>Packets of a capture that a display filter lets through, one line each: number, time, what tshark's experts say, what it is.</summary>
    public static string[] Packets(string file, string filter)
    {
        ProcessStartInfo start = new("tshark")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // Checksums are looked at by no one unless asked for; names are looked up nowhere; payload is bytes, whatever port it goes to.
        foreach (string word in new[]
        {
            "-n", "-r", file, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-Y", filter,
            "-d", "tcp.port==1-65535,data", "-d", "udp.port==1-65535,data",
            "-T", "fields", "-e", "frame.number", "-e", "_ws.expert.message", "-e", "_ws.col.Info",
        })
        {
            start.ArgumentList.Add(word);
        }

        using Process process = Process.Start(start) ?? throw new InvalidOperationException("tshark does not start");
        Task<string> error = process.StandardError.ReadToEndAsync();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Time))
        {
            process.Kill();
            throw new TimeoutException("tshark takes too long");
        }

        process.WaitForExit();
        return process.ExitCode == 0
            ? output.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            : throw new InvalidOperationException($"tshark: {error.Result}");
    }

    /// <summary>Packets that are malformed, have a wrong checksum or length, or are otherwise an error to tshark.</summary>
    public static string[] Errors(string file) =>
        Packets(file, "_ws.expert.severity == \"Error\" || _ws.malformed || ip.checksum.status == 0 || tcp.checksum.status == 0 || udp.checksum.status == 0");
}
