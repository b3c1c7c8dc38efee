using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;
using GuestCounters = NetKernel.Channel.GuestCounters;

namespace NetKernel.ControlPlane.Services;

/// <summary>Guests: get, create, change, delete. What is answered to a caller is what that caller may see.</summary>
internal sealed class GuestService(Platform platform, Registry registry, StatService stats)
{
    public static readonly string[] Changeable = ["nsm", "dns", "limits", "labels", "shared_memory", "congestion_control"];

    public GuestRecord Find(string name, Caller caller) =>
        registry.Now.Guests.GetValueOrDefault(name) is { } guest && caller.Sees(guest.Declared.Tenant)
            ? guest
            : throw new ServiceException(
                FailureCode.NotFound, $"there is no guest {name}: `nk guest list` shows all, `nk guest create {name}` makes it", about: "guest/" + name);

    public async Task<Guest> CreateAsync(Guest wanted, bool validateOnly, bool allowExisting, Caller caller)
    {
        AuditLog.About("guest", wanted.Name, caller.Tenant ?? (wanted.Tenant.Length > 0 ? wanted.Tenant : Registry.DefaultTenant)); // of a refused one, too
        if (!caller.Sees(wanted.Tenant) && wanted.Tenant.Length > 0)
        {
            throw new ServiceException(FailureCode.PermissionDenied, $"guests of tenant {wanted.Tenant} are not yours to make", "guest.tenant");
        }

        await registry.Changes.WaitAsync();
        try
        {
            Snapshot now = registry.Now;
            if (now.Guests.TryGetValue(wanted.Name, out GuestRecord? existing))
            {
                AuditLog.About("guest", wanted.Name, existing.Declared.Tenant);
                return Existing(existing, wanted, allowExisting, caller);
            }

            Guest guest = GuestRules.New(wanted, now, platform.Plan, caller.Tenant);
            MayShare(guest, null, caller);
            MayChoose(guest, null, caller);
            AuditLog.About("guest", guest.Name, guest.Tenant);
            _ = platform.Engine; // without an engine there would be no telling whether it takes the guest
            if (validateOnly)
            {
                return Describe(new GuestRecord(guest) { AttachPath = platform.Directory.AttachPath(guest.Name) }, stats.CountersOf(guest.Id), processes: false);
            }

            await registry.CommitAsync(new Declaration(Registry.GuestKind, guest.Name, guest));
            GuestRecord record = registry.Now.Guests[guest.Name];
            try
            {
                platform.MakeGuest(record);
            }
            catch (ServiceException)
            {
                await registry.CommitAsync(new Declaration(Registry.GuestKind, guest.Name, null));
                throw;
            }

            return Describe(record, default, processes: false);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    public async Task<Guest> UpdateAsync(UpdateGuestRequest request, Caller caller)
    {
        await registry.Changes.WaitAsync();
        try
        {
            GuestRecord record = Find(request.Guest?.Name ?? "", caller);
            Guest before = record.Declared;
            AuditLog.About("guest", before.Name, before.Tenant);
            Masks.CheckVersion("guest/" + before.Name, request.Guest!.ResourceVersion, before.ResourceVersion);
            Guest after = Masks.Merge("guest", before, request.Guest, request.UpdateMask, Changeable);
            GuestRules.CheckMutable(after);
            LimitRules.CheckPoolStays(before, after);
            MayShare(after, before, caller);
            MayChoose(after, before, caller);
            GuestRules.CheckCongestion(after, before, registry.Now);
            if (request.DrainSeconds > 0 && !Masks.Names("nsm", request.UpdateMask, request.Guest.Nsm.Length > 0))
            {
                throw ServiceException.Invalid("drain_seconds", "a time for connections that are left (--timeout) goes with an NSM to move to (--nsm)");
            }

            if (after.Nsm != before.Nsm || request.DrainSeconds > 0)
            {
                caller.MustBeOperator("moving a guest to another NSM");
            }

            if (after.Nsm != before.Nsm)
            {
                if (GuestRules.NsmNamed(after.Nsm, registry.Now).Declared.Drained)
                {
                    throw new ServiceException(
                        FailureCode.FailedPrecondition, $"NSM {after.Nsm} is drained: `nk nsm undrain {after.Nsm}` lets it have connections", "guest.nsm", "nsm/" + after.Nsm);
                }

                NetworkModes.CheckMove(before, after, registry.Now);
                after.FollowPolicy = false;
                if (!platform.CanMove)
                {
                    CheckIdle(record, $"{platform.Network.OneNsmBecause} a guest has one NSM, so that moving it ends its sockets");
                }
            }

            if (!request.ValidateOnly)
            {
                await ChangeAsync(record, after, request.DrainSeconds);
            }

            return Describe(request.ValidateOnly ? new GuestRecord(after) : record, stats.CountersOf(before.Id), processes: false);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Deletes a guest. Running programs are ended only with <paramref name="force"/>.</summary>
    public async Task DeleteAsync(string name, bool force, bool allowMissing, Caller caller)
    {
        await registry.Changes.WaitAsync();
        try
        {
            if (allowMissing && !registry.Now.Guests.ContainsKey(name))
            {
                return;
            }

            GuestRecord guest = Find(name, caller);
            AuditLog.About("guest", name, guest.Declared.Tenant);
            int running = force ? 0 : platform.ProcessesOf(guest).Count;
            if (running > 0)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition,
                    $"guest {name} runs {running} {(running == 1 ? "process" : "processes")}: end them first, or `nk guest delete --force {name}`", about: "guest/" + name);
            }

            await registry.CommitAsync(new Declaration(Registry.GuestKind, name, null));
            platform.UnmakeGuest(guest);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Declares a changed guest and brings it into force. Call under the lock, with everything checked.</summary>
    private async Task ChangeAsync(GuestRecord record, Guest after, uint drainSeconds)
    {
        Guest before = record.Declared;
        bool moves = after.Nsm != before.Nsm;
        if (moves && !platform.CanMove)
        {
            platform.UnmakeGuest(record);
        }
        else if (moves || drainSeconds > 0)
        {
            platform.SetLeaveBy(record, after, drainSeconds);
        }

        await registry.CommitAsync(new Declaration(Registry.GuestKind, after.Name, after));
        InForce(record, before, moves);
    }

    /// <summary>Brings a change that is declared into force.</summary>
    public void InForce(GuestRecord record, Guest before, bool moves)
    {
        if (moves && !platform.CanMove)
        {
            platform.TryMakeGuest(record);
        }
        else
        {
            platform.PlaceGuest(record);

            if (!Equals(before.Dns, record.Declared.Dns))
            {
                ResolverFile.Write(platform.Directory.FilesPath(record.Name), record.Declared.Dns);
            }

            if (!Equals(before.Limits, record.Declared.Limits))
            {
                platform.SetLimits(record);
            }

            if (before.SharedMemory != record.Declared.SharedMemory)
            {
                platform.SetSharedMemory(record);
            }

            if (before.CongestionControl != record.Declared.CongestionControl)
            {
                platform.SetCongestion(record);
            }
        }
    }

    /// <summary>Guests in the direct form map each other's memory: whether they may is the operator's to say.</summary>
    public static void MayShare(Guest after, Guest? before, Caller caller)
    {
        if (after.SharedMemory == SharedMemoryRules.Direct && before?.SharedMemory != SharedMemoryRules.Direct)
        {
            caller.MustBeOperator("the direct form of shared memory");
        }
    }

    /// <summary>A congestion control that takes more than its share takes it from other tenants: which one a guest has is the operator's to say.</summary>
    public static void MayChoose(Guest after, Guest? before, Caller caller)
    {
        if (after.CongestionControl != (before?.CongestionControl ?? ""))
        {
            caller.MustBeOperator("a guest's congestion control");
        }
    }

    public Guest Describe(GuestRecord guest, GuestCounters counters, bool processes)
    {
        Guest shown = guest.Declared.Clone();
        NsmRecord? nsm = registry.Now.Nsms.GetValueOrDefault(guest.Nsm);
        if (!platform.Network.GuestsHaveAddresses || NetworkModes.IsHost(nsm?.Declared))
        {
            shown.Ipv4 = shown.Ipv6 = "";
        }

        shown.State = guest.DetachReason is not null ? GuestState.Detached
            : !platform.EngineUp ? GuestState.Waiting
            : guest.Problem is not null ? GuestState.Failed
            : nsm?.Ready == true || guest.Uses.Keys.Any(id => registry.Now.NsmOf(id) is { Ready: true, Declared.Drained: false }) ? GuestState.Ready : GuestState.NoNsm;
        shown.Reason = guest.DetachReason ?? guest.Problem ?? (shown.State == GuestState.NoNsm ? nsm?.Reason : null) ?? "";
        shown.NamespacePath = guest.NamespacePath ?? "";
        shown.NamespacePid = guest.NamespacePid;
        shown.AttachPath = guest.AttachPath;
        shown.Library = platform.Options.Library;
        shown.ProgramCpus = platform.Options.Placement.Programs;
        shown.Files = guest.Declared.Dns is null ? "" : platform.Directory.FilesPath(guest.Name);
        shown.Problem = string.Join("; ", new[] { guest.RuleProblem, guest.LimitProblem }.OfType<string>().Concat(CongestionProblems(guest)));
        shown.Nsms.AddRange(guest.Uses.Keys.Select(registry.Now.NsmOf).OfType<NsmRecord>().Select(one => one.Name).Order(StringComparer.Ordinal));
        shown.Processes = (long)counters.Processes;
        shown.Connections = (long)counters.Open;
        shown.BytesSent = counters.BytesSent;
        shown.BytesReceived = counters.BytesReceived;
        shown.Nqes = counters.NqesFromGuest + counters.NqesToGuest;
        if (processes)
        {
            shown.ProcessList.AddRange(platform.ProcessesOf(guest).Select(pid => ProcessesInside.Describe(pid, shown.Library)).OfType<ProcessInfo>());
        }

        return shown;
    }

    /// <summary>Fails while programs run in a guest.</summary>
    public void CheckIdle(GuestRecord guest, string why)
    {
        int running = platform.ProcessesOf(guest).Count;
        if (running > 0)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"guest {guest.Name} runs {running} {(running == 1 ? "process" : "processes")}, and {why}: end them first",
                about: "guest/" + guest.Name);
        }
    }

    private IEnumerable<string> CongestionProblems(GuestRecord guest) => guest.CongestionProblems.Where(one => registry.Now.NsmOf(one.Key) is null || guest.Uses.ContainsKey(one.Key))
        .OrderBy(one => one.Key).Select(one => registry.Now.NsmOf(one.Key) is { } nsm ? $"NSM {nsm.Name}: {one.Value}" : one.Value);

    private Guest Existing(GuestRecord existing, Guest wanted, bool allowExisting, Caller caller)
    {
        string name = wanted.Name;
        Guest there = existing.Declared;
        string about = "guest/" + name;
        return !caller.Sees(there.Tenant) ? throw new ServiceException(FailureCode.AlreadyExists, $"the name {name} is taken: choose another", "guest.name", about)
            : !allowExisting ? throw new ServiceException(
                FailureCode.AlreadyExists, $"guest {name} exists already: `nk guest list` shows it, `nk guest delete {name}` removes it", "guest.name", about)
            : wanted.Nsm.Length > 0 && wanted.Nsm != there.Nsm ? throw new ServiceException(
                FailureCode.FailedPrecondition, $"guest {name} uses NSM {there.Nsm}, not {wanted.Nsm}: `nk guest update {name} --nsm {wanted.Nsm}` moves it", "guest.nsm", about)
            : wanted.Dns is not null && !wanted.Dns.Equals(there.Dns) ? throw new ServiceException(
                FailureCode.FailedPrecondition, $"guest {name} has {ResolverFile.Show(there.Dns)}: delete the guest to change that", "guest.dns", about)
            : wanted.Tenant.Length > 0 && wanted.Tenant != there.Tenant ? throw new ServiceException(
                FailureCode.FailedPrecondition, $"guest {name} is of tenant {there.Tenant}, not {wanted.Tenant}", "guest.tenant", about)
            : (wanted.Ipv4.Length > 0 && wanted.Ipv4 != there.Ipv4) || (wanted.Ipv6.Length > 0 && wanted.Ipv6 != there.Ipv6) ? throw new ServiceException(
                FailureCode.FailedPrecondition, $"guest {name} has the addresses {there.Ipv4} and {there.Ipv6}: delete the guest to change them", "guest.ipv4", about)
            : Describe(existing, stats.CountersOf(existing.Id), processes: false);
    }
}
