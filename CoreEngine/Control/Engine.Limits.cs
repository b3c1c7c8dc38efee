using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Limits of guests and tenants, as the control plane sets them.</summary>
internal sealed unsafe partial class Engine
{
    /// <summary>Tenant numbers are up to this.</summary>
    private const uint MaxTenant = 4095;

    private readonly Dictionary<uint, Allowance> _tenants = [];

    /// <summary>What the guests of a tenant may use together; there as soon as anybody asks.</summary>
    private Allowance AllowanceOf(uint tenant)
    {
        if (!_tenants.TryGetValue(tenant, out Allowance? allowance))
        {
            _tenants.Add(tenant, allowance = new Allowance());
        }

        return allowance;
    }

    private void SetLimits(EnginePeer peer, ref AttachMessage message)
    {
        LimitsMessage limits = message.Limits;
        if (Problem(limits) is { } problem)
        {
            Reply(peer, message, Libc.EINVAL, problem);
            return;
        }

        if (message.Guest == 0)
        {
            if (message.Slot is 0 or > MaxTenant)
            {
                Reply(peer, message, Libc.EINVAL, $"limits of a guest, or of a tenant: those have numbers from 1 to {MaxTenant}");
                return;
            }

            uint tenant = message.Slot;
            AllowanceOf(tenant).Set(limits, 0, Libc.Now);
            foreach (Guest guest in _guests.Values)
            {
                if (guest.Tenant == tenant)
                {
                    Apply(guest);
                }
            }

            Log.Info("limits", ("tenant", tenant), ("limits", Text(limits)));
        }
        else if (_guests.TryGetValue(message.Guest, out Guest? guest))
        {
            guest.Limits.Set(limits, _options.ConnectionRate, Libc.Now);
            Apply(guest);
            Log.Info("limits", ("guest", guest.Name), ("limits", Text(limits)));
        }
        else
        {
            Reply(peer, message, Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        Reply(peer, message, 0, "");
    }

    private bool IsLimited(Guest guest) => guest.Limits.HasRates || AllowanceOf(guest.Tenant).HasRates;

    private void Apply(Guest guest)
    {
        _reach.SetLimited(guest.Id, IsLimited(guest));
        OnLoops(loop => loop.LimitsChanged(guest.Id));
    }

    private static string? Problem(in LimitsMessage limits) =>
        Problem("send", limits.SendBytesPerSecond, limits.SendBurst) ?? Problem("receive", limits.ReceiveBytesPerSecond, limits.ReceiveBurst)
        ?? Problem("operations", limits.OperationsPerSecond, limits.OperationsBurst)
        ?? Problem("connections", limits.ConnectionsPerSecond, limits.ConnectionsBurst, TokenBucket.Most / SwitchLoop.TokensPerConnection);

    private static string? Problem(string what, ulong rate, ulong burst, ulong most = TokenBucket.Most) =>
        rate == 0 && burst != 0 ? $"{what}: a burst without a rate"
        : rate > most || burst > most ? $"{what}: rate and burst are at most {most}"
        : null;

    private string HeldReason(Guest guest) => guest.Limits.SetupIsDefault
        ? $"opens connections, or asks for other things that are no data, faster than {_options.ConnectionRate} connections a second would; more is for guests that have the machine for themselves, or a limit of their own"
        : "opens connections, or asks for other things that are no data, faster than its limit or its tenant's";

    private static string Text(in LimitsMessage limits) =>
        $"send={limits.SendBytesPerSecond} receive={limits.ReceiveBytesPerSecond} operations={limits.OperationsPerSecond} open={limits.OpenConnections} connections={limits.ConnectionsPerSecond}";
}
