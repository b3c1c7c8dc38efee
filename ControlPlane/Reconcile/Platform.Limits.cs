using System.Collections.Concurrent;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>Limits: declared here, enforced by CoreEngine. Called under the registry's lock.</summary>
internal sealed partial class Platform
{
    /// <summary>By a tenant's number: what of its limits is not in force.</summary>
    private readonly ConcurrentDictionary<uint, string> _tenantProblems = [];

    /// <summary>What of a tenant's limits is not in force; null: all is.</summary>
    public string? LimitProblemOf(Tenant tenant) => _tenantProblems.GetValueOrDefault(tenant.Id);

    /// <summary>Tells CoreEngine what a guest may use from now on. While it is away there is nothing to do: it is told everything when it is back.</summary>
    public void SetLimits(GuestRecord guest)
    {
        if (_engine is { } engine)
        {
            SetLimits(engine, guest);
        }
    }

    /// <summary>Tells CoreEngine what a tenant's guests may use together from now on; null: whatever they like.</summary>
    public void SetLimits(Tenant tenant, Limits? limits)
    {
        if (_engine is { } engine)
        {
            SetLimits(engine, tenant, limits);
        }
    }

    /// <summary>A tenant is declared no more.</summary>
    public void ForgetLimits(Tenant tenant) => _ = _tenantProblems.TryRemove(tenant.Id, out _);

    private void SetLimits(EngineClient engine, Tenant tenant, Limits? limits)
    {
        if (SetLimits(engine, 0, tenant.Id, "tenant " + tenant.Name, limits) is { } problem)
        {
            _tenantProblems[tenant.Id] = problem;
            Tell(Registry.TenantKind, tenant.Name);
        }
        else if (_tenantProblems.TryRemove(tenant.Id, out _))
        {
            Tell(Registry.TenantKind, tenant.Name);
        }
    }

    /// <summary>Tries limits again that CoreEngine has refused.</summary>
    private void SetLimitsAgain(EngineClient engine)
    {
        foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.LimitProblem is not null))
        {
            SetLimits(engine, guest);
        }

        foreach (Tenant tenant in registry.Now.Tenants.Values.Where(tenant => LimitProblemOf(tenant) is not null))
        {
            SetLimits(engine, tenant, tenant.Limits);
        }
    }

    private void SetLimits(EngineClient engine, GuestRecord guest)
    {
        guest.LimitProblem = SetLimits(engine, guest.Id, 0, "guest " + guest.Name, guest.Declared.Limits);
        Tell(Registry.GuestKind, guest.Name);
    }

    private string? SetLimits(EngineClient engine, uint guest, uint tenant, string whose, Limits? limits)
    {
        try
        {
            engine.SetLimits(guest, tenant, LimitRules.Message(limits));
            return null;
        }
        catch (EngineException e)
        {
            LogNoLimits(whose, e.Message);
            return "its limits are not in force: " + e.Message;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the limits of {Whose} are not in force: {Why}")]
    private partial void LogNoLimits(string whose, string why);
}
