using System.Diagnostics;
using System.Globalization;
using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>
/// How long it takes until who is left hears of a death: something is killed under many busy, checked streams, and every connection of a survivor says when it got which end (faults.c). Beside it the same over TCP
/// and a bridge, where the kernel tells it.
/// </summary>
internal sealed class FaultTimes : IDisposable
{
    /// <summary>Streams at a time.</summary>
    public const int Connections = 40;

    private readonly NkInstance _nk;
    private readonly string _program;
    private readonly Side _bridge, _copies, _direct, _kernel;

    public FaultTimes()
    {
        _nk = Sides.Up("shf");
        try
        {
            _program = Sides.Build(_nk, "faults");
            var native = new NativeMachine(_nk);
            _bridge = new Side("veth+bridge", null, [native.Ipv4, Text.Invariant($"{Sides.Port}")], native.Start, _nk.Outside.Start);
            _copies = Sides.Guests("copies", _nk, "a", "b");
            _direct = Sides.Guests("direct", _nk, "c", "d");
            foreach (string guest in (string[])["e", "f"])
            {
                _nk.CreateGuest(guest);
                Do("guest", "update", guest, "--shared-memory", "off");
            }

            _kernel = Sides.Guests("kernel NSM", _nk, "e", "f");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What was killed, over which form, what the survivors' connections were told, and after how many ms.</summary>
    internal sealed record Result(string Killed, string Side, string Told, Sample Times);

    private enum Survivors
    {
        Server,
        Client,
        Both,
    }

    public void Dispose() => _nk.Dispose();

    /// <summary>Kills everything so many times.</summary>
    public List<Result> Run(int times)
    {
        List<Result> results = [];
        Side[] both = [_copies, _direct];
        foreach (Side side in (Side[])[_bridge, .. both])
        {
            results.Add(Repeat("the sender", side, times, (_, client) => Kill(client.Pid), Survivors.Server));
        }

        foreach (Side side in (Side[])[_bridge, .. both])
        {
            results.Add(Repeat("the receiver", side, times, (server, _) => Kill(server.Pid), Survivors.Client));
        }

        foreach (Side side in (Side[])[.. both, _kernel])
        {
            results.Add(Repeat("CoreEngine", side, times, (_, _) => Kill(_nk.EnginePid), Survivors.Both));
        }

        results.Add(Repeat("the NSM", _kernel, times, (_, _) => Kill(_nk.NsmPid()), Survivors.Both));
        return results;
    }

    /// <summary>Returns when it was done, in monotonic ns.</summary>
    private static long Kill(int pid)
    {
        long at = Stopwatch.GetTimestamp(); // CLOCK_MONOTONIC in ns on Linux
        return GuestProcess.SendSignal(pid, 9) == 0 ? at : throw new RunFailure(Text.Invariant($"there is no process {pid}"));
    }

    private Result Repeat(string killed, Side side, int times, Func<GuestProcess, GuestProcess, long> kill, Survivors survivors)
    {
        Dictionary<string, int> told = [];
        var sample = new Sample();
        for (int i = 0; i < times; i++)
        {
            AwaitReady();
            using GuestProcess server = side.Serve([_program, "server", .. side.Address]);
            Await(server, "ready", 1);
            using GuestProcess client = side.Call([_program, "client", .. side.Address, Text.Invariant($"{Connections}")]);
            Await(client, "up", 1);
            long at = kill(server, client);
            foreach (GuestProcess survivor in survivors switch { Survivors.Server => (GuestProcess[])[server], Survivors.Client => [client], _ => [server, client] })
            {
                Await(survivor, "end ", Connections);
                foreach (string[] words in survivor.Output.Split('\n').Select(line => line.Split(' ')).Where(words => words[0] == "end"))
                {
                    told[words[1]] = told.GetValueOrDefault(words[1]) + 1;
                    sample.Add((long.Parse(words[2], CultureInfo.InvariantCulture) - at) / 1e6);
                }
            }
        }

        return new Result(killed, side.Name, string.Join(", ", told.OrderByDescending(pair => pair.Value).Select(pair => Text.Invariant($"{pair.Value} {pair.Key}"))), sample);
    }

    private static void Await(GuestProcess process, string word, int count)
    {
        bool came = NkInstance.WaitFor(() => process.Ended || process.Output.Split('\n').SkipLast(1).Count(line => line.StartsWith(word, StringComparison.Ordinal)) >= count, TimeSpan.FromSeconds(60));
        if (!came || process.Ended || process.Output.Contains("wrong", StringComparison.Ordinal))
        {
            throw new RunFailure($"no {count} lines \"{word}\": {process.Output}{process.Error}");
        }
    }

    private void AwaitReady()
    {
        if (!NkInstance.WaitFor(() => _nk.EnginePid > 0 && _nk.NsmReady() && _nk.StateOf("a") == "ready" && _nk.StateOf("f") == "ready", TimeSpan.FromSeconds(60)))
        {
            throw new RunFailure("NetKernel does not come back");
        }
    }

    private void Do(params string[] command)
    {
        CommandResult done = _nk.Nk(command);
        if (!done.Succeeded)
        {
            throw new RunFailure($"{done}");
        }
    }
}
