using NetKernel.Api.V1;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Resources;

/// <summary>What can be set of each kind of stack: a parameter that a stack does not have is refused, not kept without effect.</summary>
internal static class StackParameters
{
    /// <summary>Our own stack in user space; any other kind is taken to be Linux's.</summary>
    public const string Mtcp = "mtcp";

    // Nsm.Mtcp: Stack/Tcp/Congestion.
    private static readonly string[] MtcpCongestion = ["cubic", "reno", "dctcp", "bbr"];

    /// <summary>The congestion control of an NSM for which none is named.</summary>
    public static string DefaultCongestion(string kind) => kind == Mtcp ? MtcpCongestion[0] : Congestion.Default();

    /// <summary>Throws <see cref="ServiceException"/> when a kind of stack has no such congestion control.</summary>
    public static void CheckCongestion(string field, string kind, string wanted)
    {
        if (kind != Mtcp)
        {
            Congestion.Check(field, wanted);
        }
        else if (!MtcpCongestion.Contains(wanted))
        {
            throw ServiceException.Invalid(
                field, $"congestion control '{wanted}': with an NSM of kind {Mtcp} it is one of {string.Join(", ", MtcpCongestion)}");
        }
    }

    /// <summary>Throws <see cref="ServiceException"/> for what a kind of stack cannot be told.</summary>
    public static void Check(string kind, Nsm wanted, int loops)
    {
        if (wanted.Cores > 1 && kind != Mtcp)
        {
            throw ServiceException.Invalid("nsm.cores", $"an NSM of kind {kind} has one thread of its own: its stack is the kernel's, which uses all cores");
        }

        if (wanted.Cores > loops)
        {
            throw ServiceException.Invalid("nsm.cores", $"cores are 1 to {loops}: each core of an NSM serves a loop of CoreEngine (nkd --loops)");
        }

        if (kind != Mtcp)
        {
            return;
        }

        if (wanted.SendBuffer != 0)
        {
            throw ServiceException.Invalid(
                "nsm.send_buffer", $"an NSM of kind {Mtcp} has no send buffer: what a guest sends stays in the guest's own pool until it is acknowledged");
        }

        if (wanted.InitialWindow != 0)
        {
            throw ServiceException.Invalid("nsm.initial_window", $"the initial window of an NSM of kind {Mtcp} is fixed: 10 segments (RFC 6928)");
        }
    }
}
