using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>A long transfer in one form, checked byte by byte (endure.c), with the stalls that the machine itself had beside those of the transfer, and memory at its beginning and end.</summary>
internal static class Endurance
{
    /// <summary>Connections at a time.</summary>
    private const int Connections = 4;

    /// <summary>What became of one transfer.</summary>
    internal sealed record Result(string Name, double Gigabytes, double Seconds, int Stalls, int Unexplained, double Longest, int MachineStalls, long MemoryBefore, long MemoryAfter);

    public static Result Run(Sides sides, Side side, long bytes)
    {
        string program = sides.Build("endure");
        using GuestProcess control = sides.Instance.StartRaw([program, "control"]);
        using GuestProcess server = side.Serve([program, "server", .. side.Address]);
        if (!NkInstance.WaitFor(() => server.Output.StartsWith("ready", StringComparison.Ordinal) || server.Ended, TimeSpan.FromSeconds(20)) || server.Ended)
        {
            throw new RunFailure($"the server does not start: {server.Error}");
        }

        long each = bytes / Connections / 8 * 8;
        long began = Environment.TickCount64;
        using GuestProcess client = side.Call([program, "client", .. side.Address, Text.Invariant($"{each}"), Text.Invariant($"{Connections}")]);
        long Memory() => MemoryOf(side.Ours?.EnginePid ?? 0) + MemoryOf(server.Pid) + MemoryOf(client.Pid);
        Thread.Sleep(5000); // pools and rings are touched by then
        long before = Memory(), after = before;
        while (!client.Ended && !server.Ended)
        {
            Thread.Sleep(200);
            after = Memory() is var now && !client.Ended ? now : after;
        }

        CommandResult done = client.Wait(TimeSpan.FromSeconds(20));
        double seconds = (Environment.TickCount64 - began) / 1000.0;
        bool complete = NkInstance.WaitFor(() => server.Ended || Count(server, "done ") == Connections, TimeSpan.FromSeconds(20));
        if (!done.Succeeded || !complete || server.Ended || server.Output.Contains("wrong", StringComparison.Ordinal)
            || server.Output.Split('\n').Count(line => line == Text.Invariant($"done {each}")) != Connections)
        {
            throw new RunFailure($"{side.Name}: {done}\nserver: {server.Output[..Math.Min(2000, server.Output.Length)]}{server.Error}");
        }

        List<(double From, double To)> machine = Stalls(control), ours = [.. Stalls(client), .. Stalls(server)];

        // A stall that overlaps one of the machine's, or follows within a time slice of it, is the machine's.
        const double Slice = 0.004;
        List<(double From, double To)> own = [.. ours.Where(stall => !machine.Any(gap => gap.From <= stall.To && gap.To + Slice >= stall.From))];
        return new Result(
            side.Name, each * Connections / 1e9, seconds, ours.Count, own.Count, ours.Select(stall => stall.To - stall.From).DefaultIfEmpty(0).Max(), machine.Count, before, after);
    }

    private static int Count(GuestProcess process, string word) => process.Output.Split('\n').Count(line => line.StartsWith(word, StringComparison.Ordinal));

    private static List<(double From, double To)> Stalls(GuestProcess process) =>
    [
        .. process.Output.Split('\n').Select(line => line.Split(' ')).Where(words => words is ["stall", _, _])
            .Select(words => (double.Parse(words[1], CultureInfo.InvariantCulture), double.Parse(words[2], CultureInfo.InvariantCulture))),
    ];

    /// <summary>Resident memory of a process, shared memory included, in bytes; 0 when it is gone.</summary>
    private static long MemoryOf(int pid)
    {
        try
        {
            string? line = File.ReadLines(Text.Invariant($"/proc/{pid}/status")).FirstOrDefault(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            return line is null ? 0 : long.Parse(line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
        }
        catch (IOException)
        {
            return 0;
        }
    }
}
