using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Network;

/// <summary>What surrounds NSMs and guests: namespaces, links, addresses. One implementation per mode.</summary>
internal interface INetwork
{
    /// <summary>"bridge", "host" or "private".</summary>
    string Mode { get; }

    /// <summary>Each guest has addresses of its own; else guests use whatever their NSM's network namespace has.</summary>
    bool GuestsHaveAddresses => Mode == "bridge";

    /// <summary>Something the operator should know, or null.</summary>
    string? Notice { get; }

    /// <summary>Makes what all share. Throws when the machine does not allow it.</summary>
    void Start();

    /// <summary>Removes everything of this instance, also what a killed nkd left.</summary>
    void Remove();

    /// <summary>Makes the place an NSM runs in; sets its namespace path (null: the host's).</summary>
    void AddNsm(NsmRecord nsm);

    void RemoveNsm(NsmRecord nsm);

    /// <summary>Makes the place a guest's programs run in and gives its addresses to its NSM.</summary>
    void AddGuest(GuestRecord guest, NsmRecord nsm);

    void RemoveGuest(GuestRecord guest, NsmRecord nsm);
}
