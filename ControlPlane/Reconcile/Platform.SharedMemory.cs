using NetKernel.Api.V1;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>Who reaches whom by shared memory: declared here, followed by CoreEngine at each connect. Called under the registry's lock.</summary>
internal sealed partial class Platform
{
    /// <summary>Tells CoreEngine how a guest's connections may go from now on. While it is away there is nothing to do: it is told everything when it is back.</summary>
    public void SetSharedMemory(GuestRecord guest)
    {
        if (_engine is { } engine)
        {
            SetSharedMemory(engine, guest);
        }
    }

    private uint SharedMemoryOf(GuestRecord guest)
    {
        Tenant? tenant = registry.Now.Tenants.GetValueOrDefault(guest.Declared.Tenant);
        return SharedMemoryRules.Flags(guest.Declared, tenant);
    }

    private void SetSharedMemory(EngineClient engine, GuestRecord guest)
    {
        try
        {
            engine.SetSharedMemory(guest.Id, SharedMemoryOf(guest));
        }
        catch (EngineException e)
        {
            LogNotShared(guest.Name, e.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "what guest {Guest} says of shared memory is not in force: {Why}")]
    private partial void LogNotShared(string guest, string why);
}
