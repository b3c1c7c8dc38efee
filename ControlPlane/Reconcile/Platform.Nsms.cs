using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>NSMs on the machine. All of this is called under the registry's lock.</summary>
internal sealed partial class Platform
{
    private const uint MaxMissed = 5;

    private readonly Dictionary<uint, Supervised> _nsmProcesses = [];

    public Supervised? ProcessOf(NsmRecord nsm)
    {
        lock (_nsmProcesses)
        {
            return _nsmProcesses.GetValueOrDefault(nsm.Id);
        }
    }

    /// <summary>The program of a kind of NSM; null when there is none.</summary>
    public string? ProgramOf(string kind) => options.NsmProgram(kind);

    /// <summary>Makes a declared NSM and starts it; throws <see cref="ServiceException"/> with nothing left of it when it cannot be.</summary>
    public void MakeNsm(NsmRecord nsm)
    {
        EngineClient engine = Engine;
        try
        {
            network.AddNsm(nsm);
            engine.AddNsm(nsm);
        }
        catch (Exception e) when (e is EngineException or InvalidOperationException)
        {
            network.RemoveNsm(nsm);
            throw new ServiceException(FailureCode.Internal, $"cannot create NSM {nsm.Name}: {e.Message}", about: "nsm/" + nsm.Name);
        }

        KeepNsm(nsm, null);
    }

    /// <summary>Ends an NSM and removes its place.</summary>
    public async Task UnmakeNsmAsync(NsmRecord nsm)
    {
        LeaveAll(nsm);
        await StopNsmAsync(nsm);
        try
        {
            _engine?.RemoveNsm(nsm.Id);
        }
        catch (EngineException)
        {
            // Never declared, forgotten already, or the engine is ending.
        }

        network.RemoveNsm(nsm);
        RemoveCgroups("nsm-" + nsm.Name);
    }

    /// <summary>Ends an NSM's process and starts it with what is declared now.</summary>
    public async Task RestartNsmAsync(NsmRecord nsm)
    {
        await StopNsmAsync(nsm);
        nsm.Ready = false;
        try
        {
            network.AddNsm(nsm); // its link may need as many queues as it has cores now
        }
        catch (InvalidOperationException e)
        {
            LogNotLinked(nsm.Name, e.Message);
        }

        KeepNsm(nsm, null);
    }

    /// <summary>Starts an NSM again that was drained, if it was stopped.</summary>
    public void Undrain(NsmRecord nsm)
    {
        nsm.ConnectionsLeft = 0;
        if (ProcessOf(nsm) is null)
        {
            nsm.Reason = null;
            KeepNsm(nsm, null);
        }
    }

    /// <summary>Brings the quotas that are declared into force.</summary>
    public void ChangeQuotas(NsmRecord nsm) =>
        nsm.QuotaProblem = _cgroups.Change("nsm-" + nsm.Name, nsm.Declared.CpuMillicores, nsm.Declared.MemoryBytes);

    /// <summary>Bytes charged to an NSM's cgroup; 0 where there is none.</summary>
    public ulong MemoryInUse(NsmRecord nsm) => _cgroups.MemoryInUse("nsm-" + nsm.Name);

    // At nkd's start: NSMs that run as declared go on, others are ended, and those that are missing are started.
    private void StartNsms(List<RunningPart> running)
    {
        var kept = new HashSet<int>();
        foreach (NsmRecord nsm in registry.Now.Nsms.Values)
        {
            RunningPart? part = running.Find(part => part.Nsm == nsm.Id && part.Program == "nk-nsm-" + nsm.Declared.Kind && part.Arguments.SequenceEqual(Arguments(nsm)));
            PidFd? process = part is null ? null : PidFd.TryOpen(part.Pid);
            if (process is not null)
            {
                _ = kept.Add(part!.Pid);
            }

            if (nsm.NamespacePath is null || process is null)
            {
                network.AddNsm(nsm);
            }

            if (process is not null || !nsm.Declared.Drained)
            {
                KeepNsm(nsm, process);
            }
        }

        List<int> strays = [.. running.Where(part => !part.IsEngine && !kept.Contains(part.Pid)).Select(part => part.Pid)];
        ProcessesInside.End(() => [.. strays.Where(pid => RunningPart.Describe(pid, directory.Root) is not null)]);
    }

    /// <summary>An NSM that lives but does not turn (stopped, or in a loop without end) is shown as stuck, and after a while killed and so started again. CoreEngine wakes each for that, once a look.</summary>
    private void CheckNsms(EngineClient engine)
    {
        for (uint at = 0; engine.NextNsm(at) is { } there; at = there.Nsm)
        {
            if (registry.Now.NsmOf(there.Nsm) is not { } nsm || ProcessOf(nsm) is not { Pid: > 0 } process || there.Slot != process.Pid)
            {
                continue;
            }

            if (nsm.Missed != there.Flags)
            {
                nsm.Missed = there.Flags;
                Tell(Registry.NsmKind, nsm.Name);
            }

            if (there.Flags >= MaxMissed)
            {
                LogStuck(nsm.Name, process.Pid, LookEvery.TotalSeconds * there.Flags);
                nsm.Missed = 0;
                _ = ProcessesInside.SendSignal(process.Pid, 9);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "NSM {Nsm} (pid {Pid}) has not turned for {Seconds} s: it is ended, and started again")]
    private partial void LogStuck(string nsm, int pid, double seconds);

    [LoggerMessage(Level = LogLevel.Error, Message = "NSM {Nsm} does not get the link that it needs: {Why}")]
    private partial void LogNotLinked(string nsm, string why);

    private void KeepNsm(NsmRecord nsm, PidFd? running)
    {
        string name = "nsm-" + nsm.Name;
        if (running is not null)
        {
            ChangeQuotas(nsm);
        }
        else
        {
            RemoveCgroups(name); // one that ended while nobody looked may have left memory charged to it
        }

        var kills = new MemoryKills(_cgroups, name);
        Supervised process = supervisor.Keep(
            name,
            () => NsmSpec(nsm),
            stopping => _engineReady.Task.WaitAsync(stopping),
            (child, started) =>
            {
                if (!started)
                {
                    nsm.Ready = false;
                    nsm.Reason = child.LastExit;
                }

                Tell(Registry.NsmKind, nsm.Name);
                return Task.CompletedTask;
            },
            running,
            () => kills.Explain(nsm.Declared.MemoryBytes));
        lock (_nsmProcesses)
        {
            _nsmProcesses[nsm.Id] = process;
        }
    }

    private async Task StopNsmAsync(NsmRecord nsm)
    {
        Supervised? child;
        lock (_nsmProcesses)
        {
            _ = _nsmProcesses.Remove(nsm.Id, out child);
        }

        if (child is not null)
        {
            await supervisor.StopAsync(child, Grace);
        }
    }

    private LaunchSpec NsmSpec(NsmRecord nsm)
    {
        (IReadOnlyList<string> files, nsm.QuotaProblem) = _cgroups.Prepare("nsm-" + nsm.Name, nsm.Declared.CpuMillicores, nsm.Declared.MemoryBytes);
        string program = ProgramOf(nsm.Declared.Kind) ?? throw new InvalidOperationException($"nk-nsm-{nsm.Declared.Kind} is not installed");
        return new LaunchSpec(program, Arguments(nsm), nsm.NamespacePath, LogOf("nsm-" + nsm.Name), files, options.Placement.Parts);
    }

    private List<string> Arguments(NsmRecord nsm)
    {
        List<string> arguments =
        [
            "--run-dir", directory.Root, "--id", Text(nsm.Id), "--congestion", nsm.Declared.CongestionControl, .. network.ArgumentsOf(nsm),
        ];
        if (nsm.Declared.SendBuffer > 0)
        {
            arguments.AddRange(["--sndbuf", Text(nsm.Declared.SendBuffer)]);
        }

        if (nsm.Declared.ReceiveBuffer > 0)
        {
            arguments.AddRange(["--rcvbuf", Text(nsm.Declared.ReceiveBuffer)]);
        }

        if (nsm.Declared.Cores > 1)
        {
            arguments.AddRange(["--cores", Text(nsm.Declared.Cores)]);
        }

        return arguments;
    }
}
