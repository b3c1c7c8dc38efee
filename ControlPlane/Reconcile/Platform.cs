using System.Diagnostics;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.State;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>
/// What runs: CoreEngine, the NSMs, the network around them and the guests, made to match what is declared. What runs already when nkd starts is taken over as it is;
/// nothing on the data path ever waits for any of this.
/// </summary>
internal sealed partial class Platform(
    NkdOptions options, RunDirectory directory, INetwork network, AddressPlan plan, Supervisor supervisor, Registry registry, ILogger<Platform> logger)
{
    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(2);

    private readonly Cgroups _cgroups = new(options.Instance);
    private readonly CancellationTokenSource _ending = new();
    private readonly long _began = Stopwatch.GetTimestamp();
    private Task _looking = Task.CompletedTask;
    private bool _stopped;

    /// <summary>Something about an object that is not declared has changed: its kind and name. Called on any thread.</summary>
    public event Action<string, string>? StatusChanged;

    /// <summary>A guest is about to be removed; its counters can be read for the last time. Called under the registry's lock.</summary>
    public event Action<GuestRecord>? GuestEnding;

    public NkdOptions Options => options;

    public RunDirectory Directory => directory;

    public INetwork Network => network;

    public AddressPlan Plan => plan;

    public Registry Registry => registry;

    public TimeSpan Uptime => Stopwatch.GetElapsedTime(_began);

    /// <summary>CoreEngine ran already when this nkd started.</summary>
    public bool TookOver { get; private set; }

    /// <summary>It has begun to change what runs: what is declared could be read and fits this start.</summary>
    public bool HasBegun { get; private set; }

    public string Quotas => _cgroups.Kind;

    /// <summary>Brings everything up that is declared, or takes it over.</summary>
    public async Task StartAsync()
    {
        await registry.LoadAsync($"mode {network.Mode}, subnets {options.Subnet4} {options.Subnet6}");
        foreach (GuestRecord guest in registry.Now.Guests.Values)
        {
            guest.AttachPath = directory.AttachPath(guest.Name);
        }

        HasBegun = true;
        List<RunningPart> running = RunningPart.Find(directory.Root);
        PidFd? engine = await FindEngineAsync(running);
        if (engine is null)
        {
            // NSMs end with their engine; what they had made is kept or removed below.
            RunningPart.EndAll(directory.Root);
            running = [];
            directory.ClearSockets();
        }

        TookOver = engine is not null;
        network.TakeOver(registry.Now);
        network.Start();
        await registry.Changes.WaitAsync();
        try
        {
            var kills = new MemoryKills(_cgroups, "engine");
            _engineProcess = supervisor.Keep("engine", EngineSpec, _ => Task.CompletedTask, EngineChangedAsync, engine, () => kills.Explain(options.EngineMemoryBytes));
            StartNsms(running);
        }
        finally
        {
            registry.Changes.Release();
        }

        if (await Task.WhenAny(_engineReady.Task, Task.Delay(StartTime)) != _engineReady.Task)
        {
            throw new ServiceException(
                FailureCode.Unavailable, $"CoreEngine did not start ({_engineProcess.LastExit ?? "no answer"}): see {LogOf("engine")}");
        }

        _looking = Task.WhenAll(Task.Run(LookAsync), Task.Run(LookAtLeavingAsync));
    }

    /// <summary>Ends everything and removes every trace, in an order that lets guests see their connections end.</summary>
    public async Task StopAsync()
    {
        await _ending.CancelAsync();
        await _looking;
        await registry.Changes.WaitAsync();
        try
        {
            if (_stopped)
            {
                return;
            }

            _stopped = true;
            Snapshot now = registry.Now;
            foreach (GuestRecord guest in now.Guests.Values)
            {
                network.RemoveGuest(guest, now.Nsms.GetValueOrDefault(guest.Nsm));
            }

            await Task.WhenAll(_nsmProcesses.Values.Select(child => supervisor.StopAsync(child, Grace)));
            if (_engineProcess is not null)
            {
                await supervisor.StopAsync(_engineProcess, Grace);
            }

            _engine?.Dispose();
            network.Remove();
            RemoveCgroups(null);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Lets go of everything and leaves it running, for the next nkd.</summary>
    public async Task LeaveAsync()
    {
        await _ending.CancelAsync();
        await _looking;
        await registry.Changes.WaitAsync();
        _stopped = true;
    }

    /// <summary>Ends processes and removes namespaces of a killed nkd: those of this run directory and this instance only.</summary>
    public static void RemoveLeftovers(string instance, RunDirectory directory, INetwork network)
    {
        RunningPart.EndAll(directory.Root);
        network.Remove();
        _ = new Cgroups(instance).Remove(null); // what is left has somebody else's process in it
        directory.ClearSockets();
    }

    public string LogOf(string name) => Path.Combine(directory.Logs, name + ".log");

    /// <summary>Whether changes can still be made: nobody holds their lock for good.</summary>
    public bool IsAlive()
    {
        if (!registry.Changes.Wait(TimeSpan.FromSeconds(10)))
        {
            return false;
        }

        _ = registry.Changes.Release();
        return true;
    }

    private void RemoveCgroups(string? name)
    {
        if (_cgroups.Remove(name) is { Count: > 0 } left)
        {
            LogCgroupsLeft(string.Join(", ", left));
        }
    }

    private static string Text(long number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);

    // Level-triggered: whatever was missed, or failed, is looked at again.
    private async Task LookAsync()
    {
        using var timer = new PeriodicTimer(LookEvery);
        int unanswered = 0;
        try
        {
            while (await timer.WaitForNextTickAsync(_ending.Token))
            {
                unanswered = CheckEngine(unanswered);
                if (_tenantProblems.IsEmpty && !registry.Now.Guests.Values.Any(guest => guest.Problem is not null || guest.RuleProblem is not null || guest.LimitProblem is not null || CongestionToTell(guest)))
                {
                    continue;
                }

                await registry.Changes.WaitAsync(_ending.Token);
                try
                {
                    if (_engine is not { } engine)
                    {
                        continue;
                    }

                    foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.Problem is not null))
                    {
                        TryMakeGuest(guest);
                    }

                    SetLimitsAgain(engine);
                    SetCongestionAgain(engine);
                    PlaceGuests();
                }
                finally
                {
                    registry.Changes.Release();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private void Tell(string kind, string name) => StatusChanged?.Invoke(kind, name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "cgroups with processes in them are left: {Paths}")]
    private partial void LogCgroupsLeft(string paths);
}
