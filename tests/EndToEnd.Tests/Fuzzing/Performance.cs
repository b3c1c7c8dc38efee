using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>
/// What was seen after each step that is observed (null for the others): the results of all calls that have returned since, which calls are
/// still under way, and of every process what poll and FIONREAD say of each of its fds.
/// </summary>
internal sealed record Record(IReadOnlyList<string?> Observations, int? DifferentAt = null);

/// <summary>How long a run waits for things to settle.</summary>
/// <param name="Gap">Natively: two looks so far apart must be the same.</param>
/// <param name="Patience">Natively: a call that has not returned by then is one that blocks.</param>
/// <param name="Bound">Through NetKernel: how long to wait for what was seen natively.</param>
internal sealed record Pace(TimeSpan Gap, TimeSpan Patience, TimeSpan Bound)
{
    /// <summary>Enough nearly always.</summary>
    public static readonly Pace Quick = new(TimeSpan.FromMilliseconds(2), TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(1500));

    /// <summary>To make sure that a difference is one.</summary>
    public static readonly Pace Careful = new(TimeSpan.FromMilliseconds(60), TimeSpan.FromMilliseconds(300), TimeSpan.FromSeconds(4));
}

/// <summary>
/// One run of a script on a stage. The steps are executed one after the other. Natively the effects of a step are definite when two looks at
/// everything see the same; that is the record. Through NetKernel the run waits after each step until it sees what the record says, and a
/// difference is what does not come within a bound: so nothing depends on timing, and no step has to say what to wait for.
/// </summary>
internal sealed partial class Performance(Stage stage, Script script, Pace pace, Record? expected)
{
    private const int Threads = 4;
    private readonly int _run = stage.NextRun();
    private readonly SortedDictionary<string, ActorLink> _actors = new(StringComparer.Ordinal);
    private readonly Dictionary<ActorLink, string> _states = [];
    private readonly SortedDictionary<int, (string Actor, int Thread)> _pending = [];
    private readonly SortedDictionary<int, string> _results = [];
    private readonly Dictionary<string, string> _ports = [];
    private readonly HashSet<string> _reserving = [];
    private readonly Dictionary<string, string> _originals = [];

    /// <summary>Runs it; afterwards none of its processes lives.</summary>
    public static Record Run(Stage stage, Script script, Pace pace, Record? expected = null)
    {
        var performance = new Performance(stage, script, pace, expected);
        try
        {
            return performance.Run();
        }
        finally
        {
            performance.End();
        }
    }

    private Record Run()
    {
        List<string?> observations = [];
        for (int i = 0; i < script.Steps.Count; i++)
        {
            Step step = script.Steps[i];

            // Asked before the step is made: what it sets free may have returned by the time it is through, or not yet.
            bool isBurst = !step.IsObserved && i + 1 < script.Steps.Count && IsBurst(step, script.Steps[i + 1]);
            Execute(i, isBurst ? step : AtOnce(step));
            if (isBurst)
            {
                observations.Add(null);
                continue;
            }

            (string seen, bool same) = expected is null ? (Settle(), true) : Match(expected.Observations[i] ?? "");
            observations.Add(seen);
            _results.Clear();
            _reserving.UnionWith(_pending.Where(entry => script.Steps[entry.Key].Call == "accept").Select(entry => entry.Value.Actor));
            if (!same)
            {
                return new Record(observations, i);
            }
        }

        return new Record(observations);
    }

    // Sends in a row may go without a look in between; what anybody else does next would depend on timing.
    private bool IsBurst(Step step, Step next) =>
        Gives(step.Call) && Gives(next.Call) && step.Actor == next.Actor && step.Arguments[0] == next.Arguments[0]
        && !HasEnded(step) && !_pending.Keys.Any(other => Takes(script.Steps[other].Call));

    // What waits for more is sent when it pleases: where nothing follows at once, nothing waits.
    private static Step AtOnce(Step step) => step with { Arguments = [.. step.Arguments.Select(argument => argument.Replace("more+", "", StringComparison.Ordinal))] };

    // To a peer that is gone the first may be sent, and the second meets the reset. A receiver that waits may take the first alone.
    private bool HasEnded(Step step) =>
        _actors.TryGetValue(step.Actor, out ActorLink? actor)
        && _states.GetValueOrDefault(actor, "").Split(' ').Any(fd => fd.StartsWith(step.Arguments[0] + "=", StringComparison.Ordinal) && fd.Contains("HUP", StringComparison.Ordinal));

    private static bool Gives(string call) => call.StartsWith("send", StringComparison.Ordinal) || call.StartsWith("write", StringComparison.Ordinal);

    private void Execute(int number, Step step)
    {
        if (step.Call == "start")
        {
            if (!_actors.ContainsKey(step.Actor))
            {
                _actors.Add(step.Actor, stage.Spawn(_run, step.Actor, step.Arguments[0]));
            }

            return;
        }

        if (!_actors.TryGetValue(step.Actor, out ActorLink? actor) || actor.Gone)
        {
            return;
        }

        switch (step.Call)
        {
            case "kill":
                _ = GuestProcess.SendSignal(actor.Pid, 9);
                AwaitEnd(actor);
                break;
            case "exit":
                actor.Tell("exit 0");
                AwaitEnd(actor);
                break;
            case "fork" when !_actors.ContainsKey(step.Arguments[0]):
                Ask(number, step, actor, 0, string.Create(CultureInfo.InvariantCulture, $"fork {number} {stage.Unique(_run, step.Arguments[0])}"));
                if (stage.Forked(_run, step.Arguments[0]) is { } child)
                {
                    _actors.Add(step.Arguments[0], child);
                    _ = _reserving.Contains(step.Actor) && _reserving.Add(step.Arguments[0]);
                }

                break;
            case "fork":
                break;
            case "sigpipe":
                Ask(number, step, actor, 0, string.Create(CultureInfo.InvariantCulture, $"sigpipe {number} {step.Arguments[0]}"));
                break;
            default:
                Do(number, step, actor);
                break;
        }
    }

    // A kernel has closed what a process had when that is gone; CoreEngine does it when it hears of it (docs/fuzzing.md).
    private void AwaitEnd(ActorLink actor)
    {
        Pump(() => actor.Gone, TimeSpan.FromSeconds(10));
        _ = NkInstance.WaitFor(() => stage.IsTidy(actor.Pid), TimeSpan.FromSeconds(10));
    }

    // A thread that is in a call cannot make another: the next one does. Which calls are under way is part of what must be the same.
    private void Do(int number, Step step, ActorLink actor)
    {
        if (IsContended(step) || IsTooMuch(step))
        {
            return;
        }

        if (step.Call is "dup" or "fdup" or "dup2" && Original(step.Arguments[1]) is string original && original != step.Arguments[0])
        {
            _originals[step.Arguments[0]] = original;
        }

        for (int i = 0; i < Threads; i++)
        {
            int thread = (step.Thread + i) % Threads;
            if (!_pending.ContainsValue((step.Actor, thread)))
            {
                Ask(number, step, actor, thread, string.Create(
                    CultureInfo.InvariantCulture, $"do {number} {thread} {string.Join(' ', step.Arguments.Prepend(step.Call))}"));
                return;
            }
        }
    }

    // Which of several that wait for the same thing gets it is nobody's promise: the kernel wakes the first, NetKernel any.
    private bool IsContended(Step step) =>
        step.Call is "accept" ? _pending.Keys.Any(other => script.Steps[other].Call == "accept")
            : Takes(step.Call) && _pending.Keys.Any(other => Takes(script.Steps[other].Call) && Original(script.Steps[other].Arguments[0]) == Original(step.Arguments[0]));

    // The name under which a socket was made, of which this one is a duplicate.
    private string Original(string name)
    {
        while (_originals.TryGetValue(name, out string? original))
        {
            name = original;
        }

        return name;
    }

    // How much fits into buffers is not promised either: what is more than that is sent only while the other end receives it.
    private bool IsTooMuch(Step step) =>
        step.Call == "sendall"
        && !_pending.Keys.Select(other => script.Steps[other]).Any(other => other.Call == "recvall" && other.Arguments[0] == step.Arguments[2]);

    private static bool Takes(string call) => call.StartsWith("re", StringComparison.Ordinal);

    private void Ask(int number, Step step, ActorLink actor, int thread, string line)
    {
        _pending[number] = (step.Actor, thread);
        actor.Tell(line);
        Pump(() => !_pending.ContainsKey(number), pace.Patience);
    }

    private string Settle()
    {
        string before = Look();
        for (int turn = 0; turn < 100; turn++)
        {
            Pump(() => false, pace.Gap);
            string now = Look();
            if (now == before)
            {
                return now;
            }

            before = now;
        }

        return before + "(does not settle)\n";
    }

    private (string Seen, bool Same) Match(string wanted)
    {
        long began = Stopwatch.GetTimestamp();
        for (int nap = 0; ; nap = Math.Min(nap + 1, 10))
        {
            string seen = Look();
            if (seen == wanted || Stopwatch.GetElapsedTime(began) > pace.Bound || _actors.Values.All(actor => actor.Gone))
            {
                return (seen, seen == wanted);
            }

            Pump(() => false, TimeSpan.FromMilliseconds(nap));
        }
    }

    /// <summary>Asks every process for its state, and puts everything that is known in words.</summary>
    private string Look()
    {
        _states.Clear();
        foreach (ActorLink actor in _actors.Values)
        {
            actor.Tell("state");
        }

        Pump(() => _actors.Values.All(actor => actor.Gone || _states.ContainsKey(actor)), TimeSpan.FromSeconds(10));
        var text = new System.Text.StringBuilder();
        foreach ((int number, string result) in _results)
        {
            // The kernel's accept holds an fd number while it waits, NetKernel's does not: from then on the numbers may differ.
            string shown = _reserving.Contains(script.Steps[number].Actor) ? FdNumber().Replace(result, "fd") : result;
            _ = text.Append(CultureInfo.InvariantCulture, $"{number}: {WithPorts(shown)}\n");
        }

        foreach ((int number, (string actor, int thread)) in _pending.Where(entry => !_actors[entry.Value.Actor].Gone))
        {
            _ = text.Append(CultureInfo.InvariantCulture, $"{number}: under way in {actor}.{thread}\n");
        }

        foreach ((string name, ActorLink actor) in _actors)
        {
            _ = text.Append(CultureInfo.InvariantCulture, $"{name}: {(actor.Gone ? "gone" : _states.GetValueOrDefault(actor, "does not answer"))}\n");
        }

        return text.ToString();
    }

    // Ports that the kernel chose are named in the order in which they appear.
    private string WithPorts(string result) => Port().Replace(result, match =>
    {
        int port = int.Parse(match.ValueSpan[1..], CultureInfo.InvariantCulture);
        int own = port - Stage.PortsOf(_run);
        if (port == 0 || own is >= 0 and < 8)
        {
            return port == 0 ? "0" : string.Create(CultureInfo.InvariantCulture, $"P{own}");
        }

        if (!_ports.TryGetValue(match.Value, out string? symbol))
        {
            _ports[match.Value] = symbol = string.Create(CultureInfo.InvariantCulture, $"e{_ports.Count}");
        }

        return symbol;
    });

    /// <summary>Takes in what the agents say until something holds or the time is up.</summary>
    private void Pump(Func<bool> until, TimeSpan time)
    {
        long began = Stopwatch.GetTimestamp();
        while (!until())
        {
            TimeSpan left = time - Stopwatch.GetElapsedTime(began);
            List<Socket> ready = [.. _actors.Values.Where(actor => !actor.Gone).Select(actor => actor.Socket)];
            if (left <= TimeSpan.Zero)
            {
                return;
            }

            if (ready.Count == 0)
            {
                return; // nobody is left who could say anything
            }

            Socket.Select(ready, null, null, left);
            foreach (ActorLink actor in _actors.Values.Where(actor => ready.Contains(actor.Socket)))
            {
                foreach (string line in actor.Lines())
                {
                    Heard(actor, line);
                }
            }
        }
    }

    private void Heard(ActorLink actor, string line)
    {
        string[] words = line.Split(' ', 3);
        if (words[0] == "state")
        {
            _states[actor] = line[6..];
        }
        else
        {
            int number = int.Parse(words[1], CultureInfo.InvariantCulture);
            _ = _pending.Remove(number);
            _results[number] = words[2];
        }
    }

    private void End()
    {
        foreach (ActorLink actor in _actors.Values.Where(actor => !actor.Gone))
        {
            _ = GuestProcess.SendSignal(actor.Pid, 9);
        }

        Pump(() => _actors.Values.All(actor => actor.Gone), TimeSpan.FromSeconds(10));
        foreach (ActorLink actor in _actors.Values)
        {
            actor.Dispose();
        }
    }

    [GeneratedRegex("\\bfd[0-9]+")]
    private static partial Regex FdNumber();

    [GeneratedRegex("#[0-9]+")]
    private static partial Regex Port();
}
