using System.Diagnostics;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.Tcp;

/// <summary>What a number of idle guests cost. CPU values are shares of one core.</summary>
internal sealed record IdleRow(
    int Guests, double Engine, double Nsm, double ControlPlane, double Programs, double EngineResident, double NsmResident, double Shared)
{
    public double Platform => Engine + Nsm;
}

/// <summary>Idle guests: each has one attached process with a listening socket that nobody calls. The control is the same instance before there were any.</summary>
internal sealed class IdleBench(NkInstance instance)
{
    private const int Batch = 4;
    private const string Listener = """
        import signal, socket
        listener = socket.create_server(("0.0.0.0", 8000))
        signal.pause()
        """;

    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan SettleTime = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly List<GuestProcess> _processes = [];

    public IdleRow[] Run(int guests)
    {
        Console.Error.WriteLine("bench: idle, 0 guests");
        IdleRow control = Measure();
        string script = Path.Combine(instance.Folder, "listener.py");
        File.WriteAllText(script, Listener);
        string python = File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3";
        for (int i = 1; i <= guests; i++)
        {
            string guest = Text.Invariant($"g{i}");
            instance.CreateGuest(guest);
            _processes.Add(instance.Start(guest, python, "-I", script));
            if (i % Batch == 0 || i == guests)
            {
                AwaitListeners(i);
            }
        }

        Console.Error.WriteLine($"bench: idle, {guests} guests");
        return [control, Measure()];
    }

    private void AwaitListeners(int count)
    {
        if (!NkInstance.WaitFor(() => Open() >= count || _processes.Exists(process => process.Ended), StartTime) || Open() < count)
        {
            GuestProcess? ended = _processes.Find(process => process.Ended);
            string error = ended is null ? "" : ": " + (ended.Error.Trim().Split('\n')[^1]);
            throw new RunFailure($"{instance.TrafficOf().Open} of {count} guests listen{error}");
        }

        // Asking often would cost the machine more than what starts there.
        int Open()
        {
            Thread.Sleep(50);
            return (int)instance.TrafficOf().Open;
        }
    }

    private IdleRow Measure()
    {
        Thread.Sleep(SettleTime);
        int engine = instance.EnginePid, nsm = instance.NsmPid(), control = instance.ControlPlanePid;
        int[] programs = [.. _processes.Select(process => process.Pid)];
        double[] Now() => [ProcessCpu.Seconds(engine), ProcessCpu.Seconds(nsm), ProcessCpu.Seconds(control), programs.Sum(ProcessCpu.Seconds)];

        double[] before = Now();
        long began = Stopwatch.GetTimestamp();
        Thread.Sleep(Interval);
        double[] after = Now();
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        double[] share = [.. after.Zip(before, (now, then) => (now - then) / seconds)];
        if (_processes.Exists(process => process.Ended) || engine != instance.EnginePid || nsm != instance.NsmPid())
        {
            throw new RunFailure("a process has ended while it was measured");
        }

        return new IdleRow(
            programs.Length, share[0], share[1], share[2], share[3], MemoryUse.Resident(engine), MemoryUse.Resident(nsm),
            MemoryUse.SharedFiles([engine, nsm, control, .. programs]));
    }
}
