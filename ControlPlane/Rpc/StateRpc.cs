using System.Threading.Channels;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>netkernel.v1.StateService.</summary>
internal sealed class StateRpc(
    ApplyService apply, Registry registry, Platform platform, Services.GuestService guests, Services.NsmService nsms, Services.TenantService tenants,
    Services.PolicyService policies, StatService stats, IHostApplicationLifetime life) : StateService.StateServiceBase
{
    /// <summary>Changes that wait for a watcher; one who lets more come is told to begin again.</summary>
    internal const int MostUnread = 2048;

    private static readonly string[] Kinds = [Registry.TenantKind, Registry.NsmKind, Registry.PolicyKind, Registry.GuestKind];

    public override Task<ApplyResponse> Apply(ApplyRequest request, ServerCallContext context) => apply.ApplyAsync(request, AuditLog.Caller);

    public override Task<DeclaredState> Export(ExportRequest request, ServerCallContext context) => Task.FromResult(apply.Export(AuditLog.Caller));

    public override async Task Watch(WatchRequest request, IServerStreamWriter<Event> responseStream, ServerCallContext context)
    {
        Caller caller = AuditLog.Caller;
        foreach (string kind in request.Kinds)
        {
            if (!Kinds.Contains(kind))
            {
                throw ServiceException.Invalid("kinds", $"'{kind}' cannot be watched: {string.Join(", ", Kinds)} can");
            }
        }

        bool Wanted(string kind) => request.Kinds.Count == 0 || request.Kinds.Contains(kind);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, life.ApplicationStopping);

        // Changes of state come from the platform, changes of what is declared from the store; the stream has one writer. The store keeps what is not read yet; the platform does not, and waits for nobody.
        var changed = System.Threading.Channels.Channel.CreateBounded<Event>(new BoundedChannelOptions(MostUnread) { SingleReader = true, FullMode = BoundedChannelFullMode.Wait });
        void OnChange(string kind, string name)
        {
            if (Wanted(kind) && Current(kind, name, caller) is { } now)
            {
                now.Type = Event.Types.Type.Modified;
                if (!changed.Writer.TryWrite(now))
                {
                    _ = changed.Writer.TryComplete(new ServiceException(
                        FailureCode.ResourceExhausted, $"more than {MostUnread} changes have not been read: watch again, and read faster"));
                }
            }
        }

        platform.StatusChanged += OnChange;
        try
        {
            long from = request.ResourceVersion;
            if (from == 0)
            {
                Snapshot now = registry.Now;
                from = now.Revision;
                foreach ((string kind, string name) in Names(now).Where(one => Wanted(one.Kind)))
                {
                    if (Current(kind, name, caller) is { } there)
                    {
                        there.Type = Event.Types.Type.Added;
                        there.ResourceVersion = from;
                        await responseStream.WriteAsync(there);
                    }
                }

                await responseStream.WriteAsync(new Event { Type = Event.Types.Type.Synced, ResourceVersion = from });
            }

            Task stored = FollowAsync(from, Wanted, caller, changed.Writer, ended.Token);
            await foreach (Event e in changed.Reader.ReadAllAsync(ended.Token))
            {
                await responseStream.WriteAsync(e);
            }

            await stored;
        }
        catch (OperationCanceledException) when (life.ApplicationStopping.IsCancellationRequested && !context.CancellationToken.IsCancellationRequested)
        {
            throw new RpcException(new Grpc.Core.Status(StatusCode.Unavailable, "nkd is ending: watch again from the last resource_version"));
        }
        finally
        {
            platform.StatusChanged -= OnChange;
        }
    }

    private static IEnumerable<(string Kind, string Name)> Names(Snapshot now) =>
    [
        .. now.Tenants.Keys.Select(name => (Registry.TenantKind, name)), .. now.Nsms.Keys.Select(name => (Registry.NsmKind, name)),
        .. now.Policies.Keys.Select(name => (Registry.PolicyKind, name)), .. now.Guests.Keys.Select(name => (Registry.GuestKind, name)),
    ];

    private async Task FollowAsync(long from, Func<string, bool> wanted, Caller caller, ChannelWriter<Event> writer, CancellationToken stop)
    {
        try
        {
            await foreach (IReadOnlyList<StoreEvent> revision in registry.Store.WatchAsync(KeyRange.Prefix("/"), from, stop))
            {
                foreach (StoreEvent change in revision)
                {
                    string[] parts = change.Key.Split('/', 3);
                    if (parts.Length == 3 && Kinds.Contains(parts[1]) && wanted(parts[1]) && Told(change, parts[1], caller) is { } e)
                    {
                        await writer.WriteAsync(e, stop);
                    }
                }
            }
        }
        catch (Exception e)
        {
            _ = writer.TryComplete(e);
        }
    }

    private Event? Told(StoreEvent change, string kind, Caller caller)
    {
        var e = new Event
        {
            ResourceVersion = change.Revision,
            Type = change.Value is null ? Event.Types.Type.Deleted : change.Before is null ? Event.Types.Type.Added : Event.Types.Type.Modified,
        };
        return Fill(e, kind, Registry.Parse(kind, change.Value ?? change.Before!), caller) ? e : null;
    }

    /// <summary>An object as it is now; null when there is none, or the caller may not see it.</summary>
    private Event? Current(string kind, string name, Caller caller)
    {
        Snapshot now = registry.Now;
        object? declared = kind switch
        {
            Registry.GuestKind => now.Guests.GetValueOrDefault(name)?.Declared,
            Registry.NsmKind => now.Nsms.GetValueOrDefault(name)?.Declared,
            Registry.TenantKind => now.Tenants.GetValueOrDefault(name),
            _ => now.Policies.GetValueOrDefault(name),
        };
        var e = new Event { ResourceVersion = now.Revision };
        return declared is not null && Fill(e, kind, declared, caller) ? e : null;
    }

    private bool Fill(Event e, string kind, object declared, Caller caller)
    {
        switch (declared)
        {
            case Guest guest:
                GuestRecord record = registry.Now.Guests.GetValueOrDefault(guest.Name) is { } there && there.Id == guest.Id ? there : new GuestRecord(guest);
                e.Guest = guests.Describe(record, stats.CountersOf(guest.Id), processes: false);
                return caller.Sees(guest.Tenant);
            case Nsm nsm:
                e.Nsm = nsms.DescribeFor(registry.Now.Nsms.GetValueOrDefault(nsm.Name) ?? new NsmRecord(nsm), caller);
                return true;
            case Tenant tenant:
                e.Tenant = tenants.Describe(tenant);
                return caller.Sees(tenant.Name);
            case Policy policy:
                e.Policy = policies.Describe(policy);
                return Services.PolicyService.Sees(caller, policy);
            default:
                throw new InvalidOperationException(kind);
        }
    }
}
