using NetKernel.ControlPlane.Api;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.State;
using NetKernel.ControlPlane.Supervision;

namespace NetKernel.ControlPlane.Services;

/// <summary>Network stack modules: create, delete, list.</summary>
internal sealed class NsmService(Platform platform, StatService stats)
{
    /// <summary>The highest NSM id: ids are also rows of CoreEngine's counters, and the one above is the shared-memory NSM's.</summary>
    public const uint MaxId = 62;

    private const int MaxAttempts = 6;

    private static readonly TimeSpan ReadyTime = TimeSpan.FromSeconds(10);

    public IReadOnlyList<NsmInfo> List()
    {
        StatInfo? now = stats.TryRead();
        return [.. platform.State.Nsms.OrderBy(nsm => nsm.Id).Select(nsm => Describe(nsm, now))];
    }

    public NsmInfo Get(string name) => Describe(Find(name), stats.TryRead());

    /// <summary>Creates an NSM and waits until it has attached.</summary>
    public async Task<NsmInfo> CreateAsync(string name, NsmSpec spec)
    {
        Check(name, spec);
        NsmRecord nsm;
        await platform.Changes.WaitAsync();
        try
        {
            if (name == SharedMemory.Name)
            {
                throw new ServiceException(FailureCode.AlreadyExists, $"NSM {name} is CoreEngine's own: choose another name");
            }

            if (platform.State.Nsms.Exists(other => other.Name == name))
            {
                throw new ServiceException(FailureCode.AlreadyExists, $"NSM {name} exists already: `nk nsm list` shows it");
            }

            HashSet<uint> used = [.. platform.State.Nsms.Select(other => other.Id)];
            uint id = 1;
            while (used.Contains(id))
            {
                id++;
            }

            if (id > MaxId)
            {
                throw new ServiceException(FailureCode.ResourceExhausted, $"no more than {MaxId} NSMs: delete one");
            }

            nsm = new NsmRecord
            {
                Name = name,
                Id = id,
                Congestion = spec.Congestion ?? Congestion.Default(),
                SendBuffer = spec.SendBuffer,
                ReceiveBuffer = spec.ReceiveBuffer,
            };
            EngineClient engine = platform.Engine;
            try
            {
                platform.Network.AddNsm(nsm);
                engine.AddNsm(nsm);
            }
            catch (Exception e) when (e is EngineException or InvalidOperationException)
            {
                platform.Network.RemoveNsm(nsm);
                throw new ServiceException(FailureCode.Internal, $"cannot create NSM {name}: {e.Message}");
            }

            platform.State.Nsms = [.. platform.State.Nsms, nsm];
            platform.StartNsm(nsm);
            platform.Save();
        }
        finally
        {
            platform.Changes.Release();
        }

        DateTime end = DateTime.UtcNow + ReadyTime;
        while (!nsm.Ready && DateTime.UtcNow < end && platform.ProcessOf(nsm)?.Restarts < MaxAttempts)
        {
            await Task.Delay(2);
        }

        if (nsm.Ready)
        {
            return Describe(nsm, stats.TryRead());
        }

        string log = platform.LogOf("nsm-" + name);
        string reason = (File.Exists(log) ? File.ReadLines(log).LastOrDefault() : null) ?? platform.ProcessOf(nsm)?.LastExit ?? "it does not attach";
        await DeleteAsync(name);
        throw new ServiceException(FailureCode.Unavailable, $"NSM {name} did not start ({reason}): see {log}");
    }

    public async Task DeleteAsync(string name)
    {
        await platform.Changes.WaitAsync();
        try
        {
            NsmRecord nsm = Find(name);
            string[] guests = [.. platform.State.Guests.Where(guest => guest.Nsm == name).Select(guest => guest.Name)];
            if (guests.Length > 0)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition,
                    $"NSM {name} serves {guests.Length} guests ({string.Join(", ", guests.Take(5))}{(guests.Length > 5 ? ", ..." : "")}): delete them first");
            }

            await platform.StopNsmAsync(nsm);
            try
            {
                platform.Engine.RemoveNsm(nsm.Id);
            }
            catch (EngineException e) when (e.Errno == Channel.Host.Libc.ENOENT)
            {
                // Never declared, or forgotten already.
            }

            platform.Network.RemoveNsm(nsm);
            platform.State.Nsms = [.. platform.State.Nsms.Where(other => other != nsm)];
            platform.Save();
        }
        finally
        {
            platform.Changes.Release();
        }
    }

    private static void Check(string name, NsmSpec spec)
    {
        if (Names.Problem("NSM", name) is { } problem)
        {
            throw new ServiceException(FailureCode.InvalidArgument, problem);
        }

        if (spec.Congestion is { } congestion)
        {
            Congestion.Check(congestion);
        }

        const long max = 1L << 30;
        if (spec.SendBuffer is < 0 or > max || spec.ReceiveBuffer is < 0 or > max)
        {
            throw new ServiceException(FailureCode.InvalidArgument, "buffer sizes are 0 (automatic) to 1073741824 bytes");
        }
    }

    private NsmRecord Find(string name) =>
        platform.State.Nsms.Find(nsm => nsm.Name == name)
        ?? throw new ServiceException(FailureCode.NotFound, $"there is no NSM {name}: `nk nsm list` shows all, `nk nsm create {name}` makes it");

    private NsmInfo Describe(NsmRecord nsm, StatInfo? now)
    {
        NsmStat? counters = Array.Find(now?.Nsms ?? [], row => row.Id == nsm.Id);
        Supervised? process = platform.ProcessOf(nsm);
        string state = nsm.Ready && platform.EngineUp ? "ready" : process?.Running == true ? "starting" : "down";
        return new NsmInfo(
            nsm.Name, nsm.Id, "kernel", process?.Pid ?? 0, state, state == "ready" ? null : nsm.Reason ?? process?.LastExit, process?.Restarts ?? 0,
            nsm.Congestion, nsm.SendBuffer, nsm.ReceiveBuffer, nsm.NamespacePath, platform.State.Guests.Count(guest => guest.Nsm == nsm.Name),
            (long)(counters?.Open ?? 0), counters?.BytesSent ?? 0, counters?.BytesReceived ?? 0, (counters?.NqesToNsm ?? 0) + (counters?.NqesFromNsm ?? 0));
    }
}
