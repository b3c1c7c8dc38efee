using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>What surrounds NSMs and guests: namespaces, links, addresses. One implementation per mode.</summary>
internal interface INetwork
{
    /// <summary>"bridge", "host" or "private".</summary>
    string Mode { get; }

    /// <summary>Each guest has addresses of its own; else guests use whatever their NSM's network namespace has.</summary>
    bool GuestsHaveAddresses => Mode == "bridge";

    /// <summary>Why a guest has one NSM here, and cannot leave it while programs run in it ("in host mode"); null: it may have several (docs/adr/0010).</summary>
    string? OneNsmBecause => GuestsHaveAddresses ? null : $"in {Mode} mode";

    /// <summary>Something the operator should know, or null.</summary>
    string? Notice { get; }

    /// <summary>Makes what all share, as far as it is not there. Throws when the machine does not allow it.</summary>
    void Start();

    /// <summary>Removes everything of this instance, whoever made it.</summary>
    void Remove();

    /// <summary>
    /// After a restart of nkd: finds the places that are there and notes them in the records, removes those of guests and NSMs that are not declared.
    /// </summary>
    void TakeOver(Snapshot declared);

    /// <summary>What an NSM's program is told of its network.</summary>
    IReadOnlyList<string> ArgumentsOf(NsmRecord nsm) => ["--mode", Mode];

    /// <summary>Where a guest's frames can be seen at an NSM: a network namespace, and an interface there (null: all); null: nowhere.</summary>
    (string Space, string? Device)? CapturePlace(NsmRecord nsm) => nsm.NamespacePath is { } space ? (space, null) : null;

    /// <summary>Makes the place an NSM runs in, as far as it is not there; sets its namespace path (null: the host's).</summary>
    void AddNsm(NsmRecord nsm);

    void RemoveNsm(NsmRecord nsm);

    /// <summary>Brings an NSM's initial window into force for connections from now on. Only where an NSM has a network of its own: in bridge mode.</summary>
    void SetInitialWindow(NsmRecord nsm)
    {
    }

    /// <summary>Makes the place a guest's programs run in and gives its addresses to its NSM, as far as that is not done.</summary>
    void AddGuest(GuestRecord guest, NsmRecord nsm);

    void RemoveGuest(GuestRecord guest, NsmRecord? nsm);

    /// <summary>Sees to it that guests' addresses can be at several NSMs. Throws when this machine does not allow it. Only where <see cref="OneNsmBecause"/> is null; so the others below.</summary>
    void PrepareMove() => throw new InvalidOperationException($"{OneNsmBecause} a guest has one NSM");

    /// <summary>Gives a guest's addresses to one NSM more. What arrives goes on as before.</summary>
    void Serve(GuestRecord guest, NsmRecord nsm) => PrepareMove();

    /// <summary>Takes a guest's addresses from an NSM; what nobody knows goes to another from now on.</summary>
    void Unserve(GuestRecord guest, NsmRecord nsm, NsmRecord? now) => PrepareMove();

    /// <summary>Takes addresses from an NSM that are not these guests'.</summary>
    void KeepOnly(NsmRecord nsm, IEnumerable<GuestRecord> guests)
    {
    }

    /// <summary>
    /// What arrives for a guest anew goes to these NSMs from now on, by protocol and port, the rest (the last of them) included; connections that have begun go on as before. Those that
    /// began unseen go to the NSM that served before, datagrams for a port that is bound to the NSM of its socket.
    /// </summary>
    void Steer(
        GuestRecord guest, NsmRecord? before, IReadOnlyCollection<(byte Protocol, ushort Port, NsmRecord Nsm)> arrivals, IReadOnlyCollection<(ushort Port, NsmRecord Nsm)> bound) => PrepareMove();
}
