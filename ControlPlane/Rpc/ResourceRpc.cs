using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

// The services over gRPC: who may do what, pages, and nothing else.

/// <summary>netkernel.v1.GuestService.</summary>
internal sealed class GuestRpc(Services.GuestService guests, Registry registry, StatService stats) : Api.V1.GuestService.GuestServiceBase
{
    public override Task<Guest> GetGuest(GetGuestRequest request, ServerCallContext context)
    {
        GuestRecord guest = guests.Find(request.Name, AuditLog.Caller);
        return Task.FromResult(guests.Describe(guest, stats.CountersOf(guest.Id), request.Processes));
    }

    public override Task<ListGuestsResponse> ListGuests(ListGuestsRequest request, ServerCallContext context)
    {
        Caller caller = AuditLog.Caller;
        Snapshot now = registry.Now;
        Channel.GuestCounters[] counters = stats.AllGuests();
        (List<GuestRecord> items, string next) = Paging.Page(
            now.Guests.Where(pair => caller.Sees(pair.Value.Declared.Tenant) && (request.Tenant.Length == 0 || request.Tenant == pair.Value.Declared.Tenant)
                && (request.Nsm.Length == 0 || request.Nsm == pair.Value.Nsm)),
            request.PageSize, request.PageToken);
        var response = new ListGuestsResponse { NextPageToken = next, ResourceVersion = now.Revision };
        response.Guests.AddRange(items.Select(guest => guests.Describe(guest, guest.Id < counters.Length ? counters[guest.Id] : default, request.Processes)));
        return Task.FromResult(response);
    }

    public override Task<Guest> CreateGuest(CreateGuestRequest request, ServerCallContext context) =>
        guests.CreateAsync(request.Guest ?? new Guest(), request.ValidateOnly, request.AllowExisting, AuditLog.Caller);

    public override Task<Guest> UpdateGuest(UpdateGuestRequest request, ServerCallContext context) => guests.UpdateAsync(request, AuditLog.Caller);

    public override async Task<Empty> DeleteGuest(DeleteGuestRequest request, ServerCallContext context)
    {
        await guests.DeleteAsync(request.Name, request.Force, request.AllowMissing, AuditLog.Caller);
        return new Empty();
    }
}

/// <summary>netkernel.v1.NsmService.</summary>
internal sealed class NsmRpc(Services.NsmService nsms, Registry registry, StatService stats) : Api.V1.NsmService.NsmServiceBase
{
    public override Task<Nsm> GetNsm(GetNsmRequest request, ServerCallContext context)
    {
        NsmRecord nsm = nsms.Find(request.Name);
        return Task.FromResult(Shown(nsm));
    }

    public override Task<ListNsmsResponse> ListNsms(ListNsmsRequest request, ServerCallContext context)
    {
        Snapshot now = registry.Now;
        (List<NsmRecord> items, string next) = Paging.Page(now.Nsms, request.PageSize, request.PageToken);
        return Task.FromResult(new ListNsmsResponse { Nsms = { items.Select(Shown) }, NextPageToken = next, ResourceVersion = now.Revision });
    }

    public override Task<Nsm> CreateNsm(CreateNsmRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("making an NSM");
        return nsms.CreateAsync(request.Nsm ?? new Nsm(), request.ValidateOnly, request.AllowExisting);
    }

    public override Task<Nsm> UpdateNsm(UpdateNsmRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("changing an NSM");
        return nsms.UpdateAsync(request);
    }

    public override async Task<Empty> DeleteNsm(DeleteNsmRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("deleting an NSM");
        await nsms.DeleteAsync(request.Name, request.AllowMissing);
        return new Empty();
    }

    private Nsm Shown(NsmRecord nsm)
    {
        Nsm shown = nsms.DescribeFor(nsm, AuditLog.Caller);
        if (AuditLog.Caller.IsOperator)
        {
            shown.CpuCores = stats.CoresOf(nsm.Name);
            shown.DroppedPackets.Add(stats.DroppedBy(nsm));
        }

        return shown;
    }
}

/// <summary>netkernel.v1.TenantService.</summary>
internal sealed class TenantRpc(Services.TenantService tenants, Registry registry, StatService stats) : Api.V1.TenantService.TenantServiceBase
{
    public override Task<Tenant> GetTenant(GetTenantRequest request, ServerCallContext context) =>
        Task.FromResult(tenants.Describe(tenants.Find(request.Name, AuditLog.Caller)));

    public override Task<ListTenantsResponse> ListTenants(ListTenantsRequest request, ServerCallContext context)
    {
        Caller caller = AuditLog.Caller;
        Snapshot now = registry.Now;
        Channel.GuestCounters[] counters = stats.AllGuests();
        (List<Tenant> items, string next) = Paging.Page(now.Tenants.Where(pair => caller.Sees(pair.Key)), request.PageSize, request.PageToken);
        return Task.FromResult(new ListTenantsResponse
        {
            Tenants = { items.Select(tenant => tenants.Describe(tenant, counters)) },
            NextPageToken = next,
            ResourceVersion = now.Revision,
        });
    }

    public override Task<Tenant> CreateTenant(CreateTenantRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("making a tenant");
        return tenants.CreateAsync(request);
    }

    public override Task<Tenant> UpdateTenant(UpdateTenantRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("changing a tenant");
        return tenants.UpdateAsync(request, AuditLog.Caller);
    }

    public override async Task<Empty> DeleteTenant(DeleteTenantRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("deleting a tenant");
        await tenants.DeleteAsync(request, AuditLog.Caller);
        return new Empty();
    }
}

/// <summary>netkernel.v1.PolicyService.</summary>
internal sealed class PolicyRpc(Services.PolicyService policies, Registry registry) : Api.V1.PolicyService.PolicyServiceBase
{
    public override Task<Policy> GetPolicy(GetPolicyRequest request, ServerCallContext context) =>
        Task.FromResult(policies.Describe(policies.Find(request.Name, AuditLog.Caller)));

    public override Task<ListPoliciesResponse> ListPolicies(ListPoliciesRequest request, ServerCallContext context)
    {
        Caller caller = AuditLog.Caller;
        Snapshot now = registry.Now;
        (List<Policy> items, string next) = Paging.Page(
            now.Policies.Where(pair => Services.PolicyService.Sees(caller, pair.Value)), request.PageSize, request.PageToken);
        return Task.FromResult(new ListPoliciesResponse { Policies = { items.Select(policies.Describe) }, NextPageToken = next, ResourceVersion = now.Revision });
    }

    public override Task<Policy> CreatePolicy(CreatePolicyRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("making a policy");
        return policies.CreateAsync(request);
    }

    public override Task<Policy> UpdatePolicy(UpdatePolicyRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("changing a policy");
        return policies.UpdateAsync(request, AuditLog.Caller);
    }

    public override async Task<Empty> DeletePolicy(DeletePolicyRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("deleting a policy");
        await policies.DeleteAsync(request, AuditLog.Caller);
        return new Empty();
    }
}
