using NetKernel.Api.V1;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What joins an NSM to the network: kind mtcp in bridge mode has a choice of links and a VLAN, all others have what the kernel's stack has.</summary>
internal static class LinkRules
{
    /// <summary>Kinds of links.</summary>
    public const string Packet = "packet", Xdp = "xdp", Tap = "tap";

    private const uint MaxVlan = 4094;

    /// <summary>An NSM's kind of link; empty: what the kernel's stack has.</summary>
    public static string Of(Nsm nsm) => nsm.Kind != StackParameters.Mtcp ? "" : nsm.Link.Length > 0 ? nsm.Link : Packet;

    /// <summary>Throws <see cref="ServiceException"/>, with the field, for what an NSM of that kind cannot have in an instance of that mode.</summary>
    public static void Check(string kind, Nsm wanted, Nsm? before, string mode)
    {
        CheckOne("nsm.link", wanted.Link.Length > 0, kind, mode);
        CheckOne("nsm.vlan", wanted.Vlan != 0, kind, mode);
        if (wanted.Link is not ("" or Packet or Xdp or Tap))
        {
            throw ServiceException.Invalid("nsm.link", $"link '{wanted.Link}': it is one of {Packet}, {Xdp}, {Tap}");
        }

        if (before is not null && wanted.Link.Length > 0 && wanted.Link != Of(before))
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"NSM {before.Name} has a {Of(before)} link: delete it to change that", "nsm.link", "nsm/" + before.Name);
        }

        if (wanted.Vlan > MaxVlan)
        {
            throw ServiceException.Invalid("nsm.vlan", $"VLAN {wanted.Vlan}: it is 1 to {MaxVlan}, or 0 for no tag");
        }
    }

    private static void CheckOne(string field, bool isSet, string kind, string mode)
    {
        if (isSet && kind != StackParameters.Mtcp)
        {
            throw ServiceException.Invalid(field, $"an NSM of kind {kind} has the kernel's own interface, without a tag: this is for kind {StackParameters.Mtcp}");
        }

        if (isSet && mode != "bridge")
        {
            throw ServiceException.Invalid(field, $"in {mode} mode an NSM of kind {StackParameters.Mtcp} has no interface: this needs bridge mode (root)");
        }
    }
}
