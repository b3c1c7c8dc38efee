using NetKernel.Api.V1;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>Limits: declared here, enforced by CoreEngine. Called under the registry's lock.</summary>
internal sealed partial class Platform
{
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
            SetLimits(engine, 0, tenant.Id, "tenant " + tenant.Name, limits);
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
