using System.Diagnostics;
using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.State;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Services;

/// <summary>
/// What is running: CoreEngine, the NSMs, the network around them, and the registry of guests and NSMs that CoreEngine is told again whenever it
/// starts. The services change the registry under <see cref="Changes"/>; nothing on the data path ever waits for any of this.
/// </summary>
internal sealed partial class Platform(
    NkdOptions options, RunDirectory directory, INetwork network, AddressPlan plan, Supervisor supervisor, ILogger<Platform> logger)
{
    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2);

    private readonly StateFile _file = new(directory.StatePath);
    private readonly Dictionary<uint, Supervised> _nsmProcesses = [];
    private readonly long _began = Stopwatch.GetTimestamp();
    private TaskCompletionSource _engineReady = NewSignal();
    private Supervised? _engineProcess;
    private volatile EngineClient? _engine;
    private bool _stopped;

    public NkdOptions Options => options;

    public RunDirectory Directory => directory;

    public INetwork Network => network;

    public AddressPlan Plan => plan;

    public Supervised? EngineProcess => _engineProcess;

    /// <summary>Held while the registry or what follows from it is changed.</summary>
    public SemaphoreSlim Changes { get; } = new(1, 1);

    public PlatformState State { get; private set; } = new();

    public TimeSpan Uptime => Stopwatch.GetElapsedTime(_began);

    public bool EngineUp => _engine is not null;

    /// <summary>The engine, or a failure that says that it is away.</summary>
    public EngineClient Engine =>
        _engine ?? throw new ServiceException(FailureCode.Unavailable, "CoreEngine is being started; try again in a moment (log/engine.log says more)");

    /// <summary>Brings everything up, with one NSM; on failure what was made is removed again by <see cref="StopAsync"/>.</summary>
    public async Task StartAsync()
    {
        RemoveLeftovers();
        network.Start();
        _engineProcess = supervisor.Keep("engine", EngineSpec, _ => Task.CompletedTask, EngineChangedAsync);
        if (await Task.WhenAny(_engineReady.Task, Task.Delay(StartTime)) != _engineReady.Task)
        {
            throw new ServiceException(
                FailureCode.Unavailable, $"CoreEngine did not start ({_engineProcess.LastExit ?? "no answer"}): see {LogOf("engine")}");
        }
    }

    /// <summary>Ends everything and removes every trace, in an order that lets guests see their connections end.</summary>
    public async Task StopAsync()
    {
        await Changes.WaitAsync();
        try
        {
            if (_stopped)
            {
                return;
            }

            _stopped = true;
            foreach (GuestRecord guest in State.Guests)
            {
                network.RemoveGuest(guest, State.Nsms.First(nsm => nsm.Name == guest.Nsm));
            }

            await Task.WhenAll(_nsmProcesses.Values.Select(child => supervisor.StopAsync(child, Grace)));
            if (_engineProcess is not null)
            {
                await supervisor.StopAsync(_engineProcess, Grace);
            }

            _engine?.Dispose();
            network.Remove();
        }
        finally
        {
            Changes.Release();
        }
    }

    /// <summary>Ends processes and removes namespaces of a killed nkd: those of this run directory and this instance only.</summary>
    public void RemoveLeftovers()
    {
        Leftovers.EndProcesses(directory.Root);
        network.Remove();
        directory.ClearSockets();
    }

    public void Save() => _file.Save(State);

    public Supervised? ProcessOf(NsmRecord nsm) => _nsmProcesses.GetValueOrDefault(nsm.Id);

    public string LogOf(string name) => Path.Combine(directory.Logs, name + ".log");

    /// <summary>Starts an NSM's process and keeps it running. Call under <see cref="Changes"/>.</summary>
    public void StartNsm(NsmRecord nsm) => _nsmProcesses[nsm.Id] = supervisor.Keep(
        "nsm-" + nsm.Name,
        () => NsmSpec(nsm),
        stopping => _engineReady.Task.WaitAsync(stopping),
        (child, started) =>
        {
            if (!started)
            {
                nsm.Ready = false;
                nsm.Reason = child.LastExit;
            }

            return Task.CompletedTask;
        });

    /// <summary>Ends an NSM's process for good.</summary>
    public async Task StopNsmAsync(NsmRecord nsm)
    {
        if (_nsmProcesses.Remove(nsm.Id, out Supervised? child))
        {
            await supervisor.StopAsync(child, Grace);
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private LaunchSpec EngineSpec()
    {
        directory.ClearSockets();
        return new LaunchSpec(
            options.Engine,
            ["--run-dir", directory.Root, "--loops", Text(options.Loops), "--hugepages", options.HugePages, "--sharedmem", network.GuestsHaveAddresses ? options.SharedMemory : "off"],
            NamespacePath: null,
            LogOf("engine"));
    }

    private LaunchSpec NsmSpec(NsmRecord nsm)
    {
        List<string> arguments =
            ["--run-dir", directory.Root, "--id", Text(nsm.Id), "--congestion", nsm.Congestion, "--mode", network.GuestsHaveAddresses ? "bridge" : "host"];
        if (nsm.SendBuffer > 0)
        {
            arguments.AddRange(["--sndbuf", Text(nsm.SendBuffer)]);
        }

        if (nsm.ReceiveBuffer > 0)
        {
            arguments.AddRange(["--rcvbuf", Text(nsm.ReceiveBuffer)]);
        }

        return new LaunchSpec(options.KernelNsm, arguments, nsm.NamespacePath, LogOf("nsm-" + nsm.Name));
    }

    private static string Text(long number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);

    // CoreEngine started or ended. Started: connect as soon as it listens, and declare everything again.
    private async Task EngineChangedAsync(Supervised child, bool started)
    {
        if (!started)
        {
            _engine = null;
            if (_engineReady.Task.IsCompleted)
            {
                _engineReady = NewSignal();
            }

            return;
        }

        int pid = child.Pid;
        long began = Stopwatch.GetTimestamp();
        while (child.Pid == pid && !child.Stopping.IsCancellationRequested)
        {
            EngineClient? client = null;
            try
            {
                client = EngineClient.TryConnect(directory.EngineSocket, OnUnasked, () => LogEngineGone());
                if (client is not null)
                {
                    await Changes.WaitAsync(child.Stopping.Token);
                    try
                    {
                        Declare(client);
                        _engine = client;
                    }
                    finally
                    {
                        Changes.Release();
                    }

                    LogEngineReady(pid, Stopwatch.GetElapsedTime(began).TotalMilliseconds, State.Nsms.Count, State.Guests.Count);
                    _engineReady.TrySetResult();
                    return;
                }
            }
            catch (EngineException e)
            {
                client?.Dispose();
                LogEngineRefused(e.Message);
                await Task.Delay(50);
            }
            catch (OperationCanceledException)
            {
                client?.Dispose();
                return;
            }

            await Task.Delay(2);
        }
    }

    private void Declare(EngineClient engine)
    {
        foreach (NsmRecord nsm in State.Nsms)
        {
            nsm.Ready = false;
            engine.AddNsm(nsm);
        }

        foreach (GuestRecord guest in State.Guests.Where(guest => guest.DetachReason is null))
        {
            engine.AddGuest(guest, State.Nsms.First(nsm => nsm.Name == guest.Nsm).Id, !network.GuestsHaveAddresses);
        }
    }

    private void OnUnasked(AttachMessage message, string text)
    {
        switch (message.Op)
        {
            case AttachOp.GuestDetached:
                if (State.Guests.Find(guest => guest.Id == message.Guest) is { } guest)
                {
                    guest.DetachReason = text.Length > 0 ? text : "no reason given";
                    LogDetached(guest.Name, guest.Id, guest.DetachReason);
                }

                break;
            case AttachOp.NsmReady:
                if (State.Nsms.Find(nsm => nsm.Id == message.Nsm) is { } ready)
                {
                    ready.Ready = true;
                    ready.Reason = null;
                    LogNsmReady(ready.Name);
                }

                break;
            case AttachOp.NsmLost:
                if (State.Nsms.Find(nsm => nsm.Id == message.Nsm) is { } lost)
                {
                    lost.Ready = false;
                    lost.Reason = text;
                    LogNsmLost(lost.Name, text);
                }

                break;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "CoreEngine ready, pid {Pid}, after {Milliseconds:F0} ms; declared {Nsms} NSMs, {Guests} guests")]
    private partial void LogEngineReady(int pid, double milliseconds, int nsms, int guests);

    [LoggerMessage(Level = LogLevel.Warning, Message = "CoreEngine's control connection ended")]
    private partial void LogEngineGone();

    [LoggerMessage(Level = LogLevel.Error, Message = "CoreEngine refused: {Why}")]
    private partial void LogEngineRefused(string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "guest {Guest} (id {Id}) was detached: {Reason}")]
    private partial void LogDetached(string guest, uint id, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "NSM {Nsm} is ready")]
    private partial void LogNsmReady(string nsm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "NSM {Nsm} is lost: {Why}")]
    private partial void LogNsmLost(string nsm, string why);
}
