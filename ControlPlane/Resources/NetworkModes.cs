using NetKernel.Api.V1;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>NSMs that are not in the instance's network mode (docs/adr/0018): in bridge mode one of kind kernel may use the host's own network. What is declared is empty where it is the instance's.</summary>
internal static class NetworkModes
{
    private const string Field = "nsm.network_mode", Bridge = "bridge", Host = "host", Private = "private";

    /// <summary>Whether an NSM uses the host's network though the instance has a bridge.</summary>
    public static bool IsHost(Nsm? nsm) => nsm is { NetworkMode: Host };

    /// <summary>The same for a guest: that of its NSM.</summary>
    public static bool IsHost(Guest guest, Snapshot now) => IsHost(now.Nsms.GetValueOrDefault(guest.Nsm)?.Declared);

    /// <summary>What is declared of an NSM of that kind; throws <see cref="ServiceException"/>, with the field, for what cannot be in an instance of that mode.</summary>
    public static string Declared(string kind, Nsm wanted, Nsm? before, string instance)
    {
        string mode = wanted.NetworkMode;
        if (mode is not ("" or Bridge or Host or Private))
        {
            throw ServiceException.Invalid(Field, $"network mode '{mode}': it is {Bridge}, {Host} or {Private}");
        }

        string own = mode == instance ? "" : mode;
        if (own.Length > 0 && (instance != Bridge || own != Host))
        {
            throw ServiceException.Invalid(
                Field, $"this instance is in {instance} mode (nk up --mode), where no NSM can be in {mode} mode: only an instance in {Bridge} mode has others, in {Host} mode");
        }

        if (before is not null && mode.Length > 0 && own != before.NetworkMode)
        {
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"NSM {before.Name} is in {(IsHost(before) ? Host : instance)} mode: delete it to change that", Field, "nsm/" + before.Name);
        }

        own = mode.Length > 0 ? own : before?.NetworkMode ?? "";
        if (own == Host && kind == StackParameters.Mtcp)
        {
            throw ServiceException.Invalid(Field, $"an NSM of kind {kind} needs an interface of its own: only one of kind kernel can use the host's network");
        }

        if (own == Host && wanted.InitialWindow != 0)
        {
            throw ServiceException.Invalid("nsm.initial_window", "an NSM in host mode uses the host's routes, which say what the initial window is");
        }

        return own;
    }

    /// <summary>Throws when a guest cannot go from one NSM to another because one of them has no addresses of guests.</summary>
    public static void CheckMove(Guest before, Guest after, Snapshot now)
    {
        if (before.Nsm != after.Nsm && (IsHost(before, now) || IsHost(after, now)))
        {
            string name = IsHost(before, now) ? before.Nsm : after.Nsm;
            throw new ServiceException(
                FailureCode.FailedPrecondition, $"NSM {name} is in host mode, where guests have no addresses that they could take along: delete guest {before.Name} and make it there", "guest.nsm",
                "guest/" + before.Name);
        }
    }

    /// <summary>Whether policies may give a guest's connections to an NSM.</summary>
    public static bool MayServe(Guest guest, NsmRecord nsm, Snapshot now) => nsm.Name == guest.Nsm || (!IsHost(nsm.Declared) && !IsHost(guest, now));
}
