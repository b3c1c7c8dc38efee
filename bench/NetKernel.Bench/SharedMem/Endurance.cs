using System.Diagnostics;
using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>
/// A long transfer in one form, checked byte by byte (endure.c), with memory at its beginning and end, and what the machine did in each of its stalls: it was away altogether (a thread per CPU that only sleeps
/// was, too), or it had something else to run than a thread of that connection or of CoreEngine that was ready to run. A stall is explained as far as such times cover it.
/// </summary>
internal static class Endurance
{
    /// <summary>Connections at a time.</summary>
    private const int Connections = 4;

    /// <summary>Longer than this without the machine's doing is a stall, in seconds.</summary>
    private const double Long = 0.010;

    /// <summary>
    /// What became of one transfer. Of the stalls: those in which the machine was away, those in which it ran something else, and those that remain, with the longest of either; times in seconds. AwayShare is the
    /// part of all the time in which the machine was away: where that is much, a stall may meet such a time by chance.
    /// </summary>
    internal sealed record Result(
        string Name, double Gigabytes, double Seconds, int Stalls, double Longest, int Away, int Waited, int Unexplained, double LongestUnexplained, double AwayShare, long MemoryBefore, long MemoryAfter);

    private readonly record struct Span(string What, int Key, double From, double To);

    public static Result Run(Sides sides, Side side, long bytes)
    {
        string program = sides.Build("endure");
        using GuestProcess control = sides.Instance.StartRaw([program, "control", .. side.Ours is { } ours ? (string[])[Text.Invariant($"{ours.EnginePid}")] : []]);
        using GuestProcess server = side.Serve([program, "server", .. side.Address]);
        if (!NkInstance.WaitFor(() => server.Output.StartsWith("ready", StringComparison.Ordinal) || server.Ended, TimeSpan.FromSeconds(20)) || server.Ended)
        {
            throw new RunFailure($"the server does not start: {server.Error}");
        }

        long each = bytes / Connections / 8 * 8;
        double started = Monotonic();
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

        List<Span> all = [.. Spans(client), .. Spans(server), .. Spans(control)];
        List<Span> stalls = [.. all.Where(span => span.What == "stall")], gaps = [.. all.Where(span => span.What == "gap")];
        ILookup<int, Span> waits = all.Where(span => span.What == "wait").ToLookup(span => span.Key);
        Span whole = new("", 0, started, Monotonic());
        int away = 0, waited = 0, unexplained = 0;
        double longest = 0;
        foreach (Span stall in stalls)
        {
            double left = Left(stall, [.. gaps, .. waits[0], .. waits[stall.Key]]);
            if (Left(stall, gaps) <= Long)
            {
                away++;
            }
            else if (left <= Long)
            {
                waited++;
            }
            else
            {
                unexplained++;
                longest = Math.Max(longest, left);
            }
        }

        return new Result(
            side.Name, each * Connections / 1e9, seconds, stalls.Count, stalls.Select(stall => stall.To - stall.From).DefaultIfEmpty(0).Max(), away, waited, unexplained, longest,
            1 - (Left(whole, gaps) / (whole.To - whole.From)), before, after);
    }

    /// <summary>CLOCK_MONOTONIC, which is what endure.c has, in seconds.</summary>
    private static double Monotonic() => Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;

    /// <summary>How much of a stall none of these times covers.</summary>
    private static double Left(Span stall, IEnumerable<Span> covers)
    {
        double left = 0, at = stall.From;
        foreach (Span cover in covers.Where(cover => cover.To > stall.From && cover.From < stall.To).OrderBy(cover => cover.From))
        {
            left += Math.Max(0, cover.From - at);
            at = Math.Max(at, cover.To);
        }

        return left + Math.Max(0, stall.To - at);
    }

    private static int Count(GuestProcess process, string word) => process.Output.Split('\n').Count(line => line.StartsWith(word, StringComparison.Ordinal));

    private static IEnumerable<Span> Spans(GuestProcess process) =>
        from line in process.Output.Split('\n')
        let words = line.Split(' ')
        where words is ["stall" or "wait" or "gap", _, _, _]
        select new Span(words[0], int.Parse(words[1], CultureInfo.InvariantCulture), double.Parse(words[2], CultureInfo.InvariantCulture), double.Parse(words[3], CultureInfo.InvariantCulture));

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
