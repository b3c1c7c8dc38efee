using System.Net;
using System.Net.Sockets;
using NetKernel.ControlPlane.Api;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Services;

/// <summary>Guests: create, delete, list.</summary>
internal sealed class GuestService(Platform platform, StatService stats)
{
    /// <summary>The highest guest id: ids are also rows of CoreEngine's counters.</summary>
    public const uint MaxId = 4095;

    public IReadOnlyList<GuestInfo> List(bool processes)
    {
        StatInfo? now = stats.TryRead();
        return [.. platform.State.Guests.OrderBy(guest => guest.Id).Select(guest => Describe(guest, now, processes))];
    }

    public GuestInfo Get(string name, bool processes) => Describe(Find(name), stats.TryRead(), processes);

    /// <summary>Creates a guest, or, when it need not be new, answers with the one of that name.</summary>
    public async Task<GuestInfo> CreateAsync(string name, GuestSpec spec, bool mustBeNew)
    {
        if (Names.Problem("guest", name) is { } problem)
        {
            throw new ServiceException(FailureCode.InvalidArgument, problem);
        }

        await platform.Changes.WaitAsync();
        try
        {
            if (platform.State.Guests.Find(guest => guest.Name == name) is { } existing)
            {
                return mustBeNew
                    ? throw new ServiceException(FailureCode.AlreadyExists, $"guest {name} exists already: `nk guest list` shows it, `nk guest delete {name}` removes it")
                    : spec.Nsm is not null && spec.Nsm != existing.Nsm
                    ? throw new ServiceException(FailureCode.FailedPrecondition, $"guest {name} uses NSM {existing.Nsm}, not {spec.Nsm}: delete the guest to change it")
                    : spec.Dns is not null && !spec.Dns.Equals(existing.Dns)
                    ? throw new ServiceException(FailureCode.FailedPrecondition, $"guest {name} has {ResolverFile.Show(existing.Dns)}: delete the guest to change that")
                    : Describe(existing, stats.TryRead(), processes: false);
            }

            NsmRecord nsm = NsmFor(spec.Nsm);
            ResolverFile.Check(spec.Dns);
            GuestRecord guest = Allocate(name, nsm, spec);
            EngineClient engine = platform.Engine;
            try
            {
                ResolverFile.Write(platform.Directory.FilesPath(name), spec.Dns);
                platform.Network.AddGuest(guest, nsm);
                engine.AddGuest(guest, nsm.Id, !platform.Network.GuestsHaveAddresses);
            }
            catch (Exception e) when (e is EngineException or InvalidOperationException)
            {
                platform.Network.RemoveGuest(guest, nsm);
                ResolverFile.Remove(platform.Directory.FilesPath(name));
                throw new ServiceException(FailureCode.Internal, $"cannot create guest {name}: {e.Message}");
            }

            platform.State.Guests = [.. platform.State.Guests, guest];
            platform.Save();
            return Describe(guest, null, processes: false);
        }
        finally
        {
            platform.Changes.Release();
        }
    }

    /// <summary>Deletes a guest. Running programs are ended only with <paramref name="force"/>.</summary>
    public async Task DeleteAsync(string name, bool force)
    {
        await platform.Changes.WaitAsync();
        try
        {
            GuestRecord guest = Find(name);
            int running = ProcessesOf(guest).Count;
            if (running > 0 && !force)
            {
                throw new ServiceException(
                    FailureCode.FailedPrecondition, $"guest {name} runs {running} {(running == 1 ? "process" : "processes")}: end them first, or `nk guest delete --force {name}`");
            }

            NsmRecord nsm = platform.State.Nsms.First(nsm => nsm.Name == guest.Nsm);
            platform.Network.RemoveGuest(guest, nsm);
            try
            {
                platform.Engine.RemoveGuest(guest.Id);
            }
            catch (EngineException e) when (e.Errno is Channel.Host.Libc.ENOENT || guest.DetachReason is not null)
            {
                // CoreEngine has let go of a detached guest by itself.
            }

            ResolverFile.Remove(platform.Directory.FilesPath(name));
            platform.State.Guests = [.. platform.State.Guests.Where(other => other != guest)];
            platform.Save();
        }
        finally
        {
            platform.Changes.Release();
        }
    }

    private GuestRecord Find(string name) =>
        platform.State.Guests.Find(guest => guest.Name == name)
        ?? throw new ServiceException(
            FailureCode.NotFound, $"there is no guest {name}: `nk guest list` shows all, `nk guest create {name}` makes it");

    private NsmRecord NsmFor(string? wanted) => wanted is null
        ? platform.State.Nsms.FirstOrDefault()
          ?? throw new ServiceException(FailureCode.FailedPrecondition, "there is no NSM: `nk nsm create NAME` makes one")
        : platform.State.Nsms.Find(nsm => nsm.Name == wanted)
          ?? throw new ServiceException(FailureCode.NotFound, $"there is no NSM {wanted}: `nk nsm list` shows all, `nk nsm create {wanted}` makes it");

    private GuestRecord Allocate(string name, NsmRecord nsm, GuestSpec spec)
    {
        PlatformState state = platform.State;
        AddressPlan plan = platform.Plan;
        string? wanted4 = Wanted(spec.Ipv4, AddressFamily.InterNetwork);
        string? wanted6 = Wanted(spec.Ipv6, AddressFamily.InterNetworkV6);
        HashSet<string> taken = [.. state.Guests.SelectMany(guest => new[] { guest.Ipv4, guest.Ipv6 })];
        foreach (string wanted in new[] { wanted4, wanted6 }.OfType<string>())
        {
            if (state.Guests.Find(guest => guest.Ipv4 == wanted || guest.Ipv6 == wanted) is { } owner)
            {
                throw new ServiceException(FailureCode.AlreadyExists, $"{wanted} belongs to guest {owner.Name}: choose another address, or none");
            }
        }

        HashSet<uint> used = [.. state.Guests.Select(guest => guest.Id)];
        uint limit = Math.Min(MaxId, plan.Capacity);
        for (uint id = 1; id <= limit; id++)
        {
            string four = wanted4 ?? plan.Ipv4(id).ToString();
            string six = wanted6 ?? plan.Ipv6(id).ToString();
            if (!used.Contains(id) && !taken.Contains(four) && !taken.Contains(six))
            {
                return new GuestRecord
                {
                    Name = name,
                    Id = id,
                    Nsm = nsm.Name,
                    Ipv4 = four,
                    Ipv6 = six,
                    Dns = spec.Dns,
                    AttachPath = platform.Directory.AttachPath(name),
                };
            }
        }

        throw new ServiceException(FailureCode.ResourceExhausted, $"no more than {limit} guests: delete some, or choose larger subnets at `nk up`");
    }

    private string? Wanted(string? text, AddressFamily family)
    {
        try
        {
            return text is null ? null : platform.Plan.Wanted(text, family).ToString();
        }
        catch (FormatException e)
        {
            throw new ServiceException(FailureCode.InvalidArgument, e.Message);
        }
    }

    private List<int> ProcessesOf(GuestRecord guest) => guest.NamespaceInode != 0
        ? [.. ProcessesInside.Of(guest.NamespaceInode).Where(pid => pid != guest.NamespacePid)]
        : ProcessesInside.WithVariable("NETKERNEL_ATTACH=" + guest.AttachPath);

    private GuestInfo Describe(GuestRecord guest, StatInfo? now, bool processes)
    {
        GuestStat? counters = Array.Find(now?.Guests ?? [], row => row.Id == guest.Id);
        NsmRecord? nsm = platform.State.Nsms.Find(nsm => nsm.Name == guest.Nsm);
        bool host = !platform.Network.GuestsHaveAddresses;
        string state = guest.DetachReason is not null ? "detached" : !platform.EngineUp ? "waiting" : nsm?.Ready == true ? "ready" : "no-nsm";
        string library = platform.Options.Library;
        return new GuestInfo(
            guest.Name, guest.Id, guest.Nsm, host ? null : guest.Ipv4, host ? null : guest.Ipv6, state, guest.DetachReason ?? (state == "no-nsm" ? nsm?.Reason : null),
            guest.NamespacePath, guest.NamespacePid, guest.AttachPath, library,
            (long)(counters?.Processes ?? 0), (long)(counters?.Open ?? 0), counters?.BytesSent ?? 0, counters?.BytesReceived ?? 0,
            (counters?.NqesFromGuest ?? 0) + (counters?.NqesToGuest ?? 0),
            processes ? [.. ProcessesOf(guest).Select(pid => ProcessesInside.Describe(pid, library)).OfType<ProcessInfo>()] : null,
            guest.Dns, guest.Dns is null ? null : platform.Directory.FilesPath(guest.Name));
    }
}
