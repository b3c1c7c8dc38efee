using Google.Protobuf.WellKnownTypes;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;
using NetKernel.ControlPlane.Supervision;
using NsmCounters = NetKernel.Channel.NsmCounters;

namespace NetKernel.ControlPlane.Services;

/// <summary>Network stack modules: get, create, change, delete.</summary>
internal sealed class NsmService(Platform platform, Registry registry, StatService stats)
{
    public static readonly string[] Changeable =
        ["congestion_control", "send_buffer", "receive_buffer", "initial_window", "cores", "link", "vlan", "network_mode", "cpu_millicores", "memory_bytes", "labels", "drained"];

    private const int MaxAttempts = 6;

    private static readonly TimeSpan ReadyTime = TimeSpan.FromSeconds(10);

    public NsmRecord Find(string name) =>
        registry.Now.Nsms.GetValueOrDefault(name)
        ?? throw new ServiceException(
            FailureCode.NotFound, $"there is no NSM {name}: `nk nsm list` shows all, `nk nsm create {name}` makes it", about: "nsm/" + name);

    /// <summary>Creates an NSM and waits until it has attached.</summary>
    public async Task<Nsm> CreateAsync(Nsm wanted, bool validateOnly, bool allowExisting)
    {
        NsmRecord record;
        AuditLog.About("nsm", wanted.Name, "");
        await registry.Changes.WaitAsync();
        try
        {
            if (registry.Now.Nsms.TryGetValue(wanted.Name, out NsmRecord? existing))
            {
                return allowExisting
                    ? Describe(existing, stats.CountersOfNsm(existing.Id))
                    : throw new ServiceException(FailureCode.AlreadyExists, $"NSM {wanted.Name} exists already: `nk nsm list` shows it", "nsm.name", "nsm/" + wanted.Name);
            }

            Nsm nsm = NsmRules.New(wanted, null, registry.Now, platform.ProgramOf, platform.Options.Loops, platform.Network.Mode);
            _ = platform.Engine;
            if (validateOnly)
            {
                return Describe(new NsmRecord(nsm), default);
            }

            await registry.CommitAsync(new Declaration(Registry.NsmKind, nsm.Name, nsm));
            record = registry.Now.Nsms[nsm.Name];
            try
            {
                platform.MakeNsm(record);
            }
            catch (ServiceException)
            {
                await registry.CommitAsync(new Declaration(Registry.NsmKind, nsm.Name, null));
                throw;
            }
        }
        finally
        {
            registry.Changes.Release();
        }

        if (await ReadyAsync(record))
        {
            await registry.Changes.WaitAsync();
            try
            {
                await platform.FollowPoliciesAsync(); // policies may have waited for it
            }
            finally
            {
                registry.Changes.Release();
            }

            return Describe(record, default);
        }

        string log = platform.LogOf("nsm-" + record.Name);
        string reason = (File.Exists(log) ? File.ReadLines(log).LastOrDefault() : null) ?? platform.ProcessOf(record)?.LastExit ?? "it does not attach";
        await DeleteAsync(record.Name, allowMissing: true);
        throw new ServiceException(FailureCode.Unavailable, $"NSM {record.Name} did not start ({reason}): see {log}", about: "nsm/" + record.Name);
    }

    public async Task<Nsm> UpdateAsync(UpdateNsmRequest request)
    {
        NsmRecord record;
        bool restarts;
        AuditLog.About("nsm", request.Nsm?.Name ?? "", "");
        await registry.Changes.WaitAsync();
        try
        {
            record = Find(request.Nsm?.Name ?? "");
            Nsm before = record.Declared;
            Masks.CheckVersion("nsm/" + before.Name, request.Nsm!.ResourceVersion, before.ResourceVersion);
            Nsm after = NsmRules.New(Masks.Merge("nsm", before, request.Nsm, request.UpdateMask, Changeable), before, registry.Now, platform.ProgramOf, platform.Options.Loops, platform.Network.Mode);
            bool drains = after.Drained && Masks.Names("drained", request.UpdateMask, request.Nsm.Drained);
            if (drains)
            {
                after.DrainBy = request.DrainSeconds == 0 ? null : Timestamp.FromDateTime(DateTime.UtcNow.AddSeconds(request.DrainSeconds));
            }
            else if (request.DrainSeconds > 0)
            {
                throw ServiceException.Invalid("drain_seconds", "a time for connections that are left goes with drained");
            }

            restarts = NsmRules.NeedsRestart(before, after);
            if (restarts && !request.AllowRestart)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition,
                    $"NSM {before.Name} gets this at its start: --restart (allow_restart) starts it again, which ends the {stats.CountersOfNsm(before.Id).Open} connections it has",
                    about: "nsm/" + before.Name);
            }

            if (after.Drained && !before.Drained && (!platform.CanMove || NetworkModes.IsHost(after)))
            {
                throw CannotDrain(before.Name);
            }

            if (request.ValidateOnly)
            {
                return Describe(new NsmRecord(after), default);
            }

            await registry.CommitAsync(new Declaration(Registry.NsmKind, after.Name, after));
            await InForceAsync(record, before, restarts && !after.Drained);
            restarts |= before.Drained && !after.Drained;
            restarts &= !after.Drained;
        }
        finally
        {
            registry.Changes.Release();
        }

        return !restarts || await ReadyAsync(record)
            ? Describe(record, stats.CountersOfNsm(record.Id))
            : throw new ServiceException(FailureCode.Unavailable, $"NSM {record.Name} does not start again: see {platform.LogOf("nsm-" + record.Name)}", about: "nsm/" + record.Name);
    }

    /// <summary>Draining is refused where guests cannot leave their NSM, with what can be done instead.</summary>
    public ServiceException CannotDrain(string name) => new(
        FailureCode.FailedPrecondition,
        $"{platform.Network.OneNsmBecause ?? "in host mode"} a guest has one NSM, and cannot leave {name} while programs run in it: end the programs, then `nk guest update GUEST --nsm OTHER` for each guest and "
        + $"`nk nsm delete {name}`; in bridge mode (root, Linux 6.6 or later) running guests move",
        "nsm.drained", "nsm/" + name);

    /// <summary>Brings a change that is declared into force. Call under the lock.</summary>
    public async Task InForceAsync(NsmRecord record, Nsm before, bool restarts)
    {
        platform.ChangeQuotas(record);
        if (record.Declared.InitialWindow != before.InitialWindow)
        {
            platform.Network.SetInitialWindow(record);
        }

        if (record.Declared.Drained != before.Drained)
        {
            if (!record.Declared.Drained)
            {
                platform.Undrain(record);
            }

            platform.PlaceGuests();
        }

        if (restarts)
        {
            await platform.RestartNsmAsync(record);
        }
    }

    public async Task DeleteAsync(string name, bool allowMissing)
    {
        AuditLog.About("nsm", name, "");
        await registry.Changes.WaitAsync();
        try
        {
            if (allowMissing && !registry.Now.Nsms.ContainsKey(name))
            {
                return;
            }

            NsmRecord nsm = Find(name);
            string[] guests = [.. registry.Now.GuestsOf(name).Select(guest => guest.Name)];
            if (guests.Length > 0)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition,
                    $"NSM {name} serves {guests.Length} guests ({string.Join(", ", guests.Take(5))}{(guests.Length > 5 ? ", ..." : "")}): delete them first",
                    about: "nsm/" + name);
            }

            await registry.CommitAsync(new Declaration(Registry.NsmKind, name, null));
            await platform.UnmakeNsmAsync(nsm);
            await platform.FollowPoliciesAsync();
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Waits until an NSM has attached; false when it does not.</summary>
    public async Task<bool> ReadyAsync(NsmRecord nsm)
    {
        DateTime end = DateTime.UtcNow + ReadyTime;
        while (!nsm.Ready && DateTime.UtcNow < end && platform.ProcessOf(nsm)?.Restarts < MaxAttempts)
        {
            await Task.Delay(2);
        }

        return nsm.Ready;
    }

    /// <summary>An NSM as a caller may see it: a tenant sees that there is one, and its state, but not what others do with it.</summary>
    public Nsm DescribeFor(NsmRecord nsm, Caller caller)
    {
        Nsm shown = Describe(nsm, caller.IsOperator ? stats.CountersOfNsm(nsm.Id) : default);
        if (!caller.IsOperator)
        {
            shown.Guests = registry.Now.GuestsOf(nsm.Name).Count(guest => caller.Sees(guest.Declared.Tenant));
            shown.Pid = 0;
            shown.LastExit = "";
            shown.LastExitTime = null;
            shown.MemoryInUse = 0;
            shown.ConnectionsLeft = 0;
            shown.Reason = nsm.Declared.Drained ? "" : shown.Reason;
        }

        return shown;
    }

    public Nsm Describe(NsmRecord nsm, NsmCounters counters)
    {
        Nsm shown = nsm.Declared.Clone();
        Supervised? process = platform.ProcessOf(nsm);
        shown.State = nsm.Ready && platform.EngineUp ? NsmState.Ready
            : process?.Running == true ? NsmState.Starting : NsmState.Down;
        if (shown.State == NsmState.Ready && nsm.Missed >= NsmRecord.Stuck)
        {
            shown.State = NsmState.Stuck;
        }

        if (nsm.Declared.Drained)
        {
            shown.State = process is null ? NsmState.Drained : NsmState.Draining;
            shown.ConnectionsLeft = nsm.ConnectionsLeft;
        }

        shown.Reason = nsm.Declared.Drained ? (process is null ? "" : Left(nsm))
            : shown.State == NsmState.Stuck ? "its loop does not turn; it is started again soon" : shown.State == NsmState.Ready ? "" : process?.LastExit ?? nsm.Reason ?? "";
        shown.Pid = process?.Pid ?? 0;
        shown.Restarts = process?.Restarts ?? 0;
        shown.LastExit = process?.LastExit ?? "";
        shown.LastExitTime = process?.LastExitTime is { } ended ? Timestamp.FromDateTime(ended) : null;
        shown.MemoryInUse = platform.MemoryInUse(nsm);
        shown.NamespacePath = nsm.NamespacePath ?? "";
        shown.QuotaProblem = nsm.QuotaProblem ?? "";
        shown.Guests = registry.Now.GuestsOf(nsm.Name).Count();
        shown.Connections = (long)counters.Open;
        shown.BytesSent = counters.BytesSent;
        shown.BytesReceived = counters.BytesReceived;
        shown.Nqes = counters.NqesToNsm + counters.NqesFromNsm;
        return shown;
    }

    private static string Left(NsmRecord nsm) => nsm.Declared.DrainBy is not { } by ? $"{nsm.ConnectionsLeft} connections left"
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{nsm.ConnectionsLeft} connections left, reset at {by.ToDateTime():yyyy-MM-ddTHH:mm:ss}Z");
}
