using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;

namespace NetKernel.ControlPlane.Services;

/// <summary>Policies: get, create, change, delete. They decide when a guest is made.</summary>
internal sealed class PolicyService(Registry registry, Platform platform)
{
    public static readonly string[] Changeable = ["priority", "match", "nsms"];

    public Policy Find(string name, Caller caller) =>
        registry.Now.Policies.GetValueOrDefault(name) is { } policy && Sees(caller, policy)
            ? policy
            : throw new ServiceException(FailureCode.NotFound, $"there is no policy {name}: `nk policy list` shows all", about: "policy/" + name);

    /// <summary>A tenant sees the policies that are about it.</summary>
    public static bool Sees(Caller caller, Policy policy) => caller.IsOperator || policy.Match?.Tenant == caller.Tenant;

    public async Task<Policy> CreateAsync(CreatePolicyRequest request)
    {
        Policy wanted = request.Policy ?? new Policy();
        AuditLog.About("policy", wanted.Name, wanted.Match?.Tenant ?? "");
        await registry.Changes.WaitAsync();
        try
        {
            if (registry.Now.Policies.TryGetValue(wanted.Name, out Policy? existing))
            {
                return request.AllowExisting
                    ? Describe(existing)
                    : throw new ServiceException(FailureCode.AlreadyExists, $"policy {wanted.Name} exists already", "policy.name", "policy/" + wanted.Name);
            }

            Policy policy = PolicyRules.New(wanted, null);
            if (!request.ValidateOnly)
            {
                await CommitAsync(policy.Name, policy);
            }

            return Describe(policy);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    public async Task<Policy> UpdateAsync(UpdatePolicyRequest request, Caller caller)
    {
        AuditLog.About("policy", request.Policy?.Name ?? "", "");
        await registry.Changes.WaitAsync();
        try
        {
            Policy before = Find(request.Policy?.Name ?? "", caller);
            Masks.CheckVersion("policy/" + before.Name, request.Policy!.ResourceVersion, before.ResourceVersion);
            Policy after = PolicyRules.New(Masks.Merge("policy", before, request.Policy, request.UpdateMask, Changeable), before);
            if (!request.ValidateOnly)
            {
                await CommitAsync(after.Name, after);
            }

            return Describe(after);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    public async Task DeleteAsync(DeletePolicyRequest request, Caller caller)
    {
        AuditLog.About("policy", request.Name, "");
        await registry.Changes.WaitAsync();
        try
        {
            if (request.AllowMissing && !registry.Now.Policies.ContainsKey(request.Name))
            {
                return;
            }

            await CommitAsync(Find(request.Name, caller).Name, null);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    /// <summary>Declares a policy, or its end, and brings that into force. Call under the lock.</summary>
    private async Task CommitAsync(string name, Policy? policy)
    {
        await registry.CommitAsync(new Declaration(Registry.PolicyKind, name, policy));
        await platform.FollowPoliciesAsync();
    }

    public Policy Describe(Policy policy)
    {
        Policy shown = policy.Clone();
        shown.Problem = PolicyRules.Problem(policy, registry.Now, platform.Network);
        return shown;
    }
}
