using System.Diagnostics;
using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>CoreEngine: kept running, taken over, asked what it has, told what it should have.</summary>
internal sealed partial class Platform
{
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(2);
    private const int MaxUnanswered = 3;

    private TaskCompletionSource _engineReady = NewSignal();
    private Supervised? _engineProcess;
    private volatile EngineClient? _engine;

    public Supervised? EngineProcess => _engineProcess;

    public bool EngineUp => _engine is not null;

    /// <summary>The engine, or a failure that says that it is away.</summary>
    public EngineClient Engine =>
        _engine ?? throw new ServiceException(FailureCode.Unavailable, "CoreEngine is being started; try again in a moment (log/engine.log says more)");

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The running CoreEngine of this run directory, if it answers; one that does not is ended.</summary>
    private async Task<PidFd?> FindEngineAsync(List<RunningPart> running)
    {
        if (running.Find(part => part.IsEngine) is not { } found || PidFd.TryOpen(found.Pid) is not { } engine)
        {
            return null;
        }

        long began = Stopwatch.GetTimestamp();
        while (RunningPart.Describe(found.Pid, directory.Root) is { IsEngine: true } && Stopwatch.GetElapsedTime(began) < AnswerTime)
        {
            try
            {
                using EngineClient? client = EngineClient.TryConnect(directory.EngineSocket, (_, _) => { }, () => { });
                if (client is not null)
                {
                    _ = client.NextGuest(0);
                    return engine;
                }
            }
            catch (EngineException e)
            {
                LogNotTakenOver(found.Pid, e.Message);
                break;
            }

            await Task.Delay(20);
        }

        engine.Dispose();
        return null;
    }

    private LaunchSpec EngineSpec()
    {
        directory.ClearSockets();
        return new LaunchSpec(
            options.Engine,
            [
                "--run-dir", directory.Root, "--loops", Text(options.Loops), "--hugepages", options.HugePages,
                "--sharedmem", network.GuestsHaveAddresses ? options.SharedMemory : "off", "--conn-rate", Text(options.ConnectionRate),
            ],
            NamespacePath: null, LogOf("engine"),
            _cgroups.Prepare("engine", options.EngineCpuMillicores, options.EngineMemoryBytes).Files, options.Placement.Parts);
    }

    // CoreEngine started or ended. Started: connect as soon as it listens, and make it match what is declared.
    private async Task EngineChangedAsync(Supervised child, bool started)
    {
        if (!started)
        {
            _engine = null;
            if (_engineReady.Task.IsCompleted)
            {
                _engineReady = NewSignal();
            }

            foreach (GuestRecord guest in registry.Now.Guests.Values)
            {
                guest.IsMade = false;
                Tell(Registry.GuestKind, guest.Name);
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
                    await registry.Changes.WaitAsync(child.Stopping.Token);
                    try
                    {
                        Match(client);
                        _engine = client;
                    }
                    finally
                    {
                        registry.Changes.Release();
                    }

                    LogEngineReady(pid, Stopwatch.GetElapsedTime(began).TotalMilliseconds, registry.Now.Nsms.Count, registry.Now.Guests.Count);
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

    /// <summary>An engine that lives but does not answer is killed, and started again by its supervisor.</summary>
    private int CheckEngine(int unanswered)
    {
        if (_engine is not { } engine || _engineProcess is not { Pid: > 0 } process)
        {
            return 0;
        }

        try
        {
            engine.Ping();
            CheckNsms(engine);
            return 0;
        }
        catch (EngineException e) when (e.Errno == Channel.Host.Libc.ETIMEDOUT)
        {
            unanswered++;
            LogEngineSilent(process.Pid, unanswered);
            if (unanswered >= MaxUnanswered)
            {
                _ = ProcessesInside.SendSignal(process.Pid, 9);
                return 0;
            }

            return unanswered;
        }
        catch (EngineException)
        {
            return 0; // it is ending: the supervisor sees to it
        }
    }

    private void OnUnasked(AttachMessage message, string text)
    {
        Snapshot now = registry.Now;
        switch (message.Op)
        {
            case AttachOp.GuestDetached:
                if (now.GuestIds.TryGetValue(message.Guest, out GuestRecord? guest))
                {
                    guest.DetachReason = text.Length > 0 ? text : "no reason given";
                    LogDetached(guest.Name, guest.Id, guest.DetachReason);
                    Tell(Registry.GuestKind, guest.Name);
                }

                break;
            case AttachOp.GuestHeld:
                if (now.GuestIds.TryGetValue(message.Guest, out GuestRecord? held))
                {
                    LogHeld(held.Name, text);
                }

                break;
            case AttachOp.CongestionTold:
                if (now.GuestIds.TryGetValue(message.Guest, out GuestRecord? told))
                {
                    NoteCongestion(told, message.Nsm, text.Length > 0 ? $"its congestion control is not in force: {text}" : "");
                }

                break;
            case AttachOp.NsmReady:
                if (now.NsmOf(message.Nsm) is { } ready)
                {
                    ready.Ready = true;
                    ready.Reason = null;
                    LogNsmReady(ready.Name);
                    _ = SteerAgainAsync(ready.Id);
                    Tell(Registry.NsmKind, ready.Name);
                }

                break;
            case AttachOp.NsmLost:
                if (now.NsmOf(message.Nsm) is { } lost)
                {
                    lost.Ready = false;
                    lost.Reason = text;
                    LogNsmLost(lost.Name, text);
                    _ = SteerAgainAsync(lost.Id);
                    Tell(Registry.NsmKind, lost.Name);
                }

                break;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "guest {Guest} is held: it {Reason}")]
    private partial void LogHeld(string guest, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "CoreEngine ready, pid {Pid}, after {Milliseconds:F0} ms; declared {Nsms} NSMs, {Guests} guests")]
    private partial void LogEngineReady(int pid, double milliseconds, int nsms, int guests);

    [LoggerMessage(Level = LogLevel.Warning, Message = "CoreEngine (pid {Pid}) runs but cannot be taken over: {Why}; it is ended")]
    private partial void LogNotTakenOver(int pid, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "CoreEngine (pid {Pid}) did not answer, for the {Times}. time")]
    private partial void LogEngineSilent(int pid, int times);

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
