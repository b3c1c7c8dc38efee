using System.Runtime.InteropServices;

namespace NetKernel.Channel.Host;

/// <summary>
/// What an NSM tells of one TCP connection when it is asked on its report socket: where CoreEngine has it, and the main fields of TCP_INFO (tcp(7)). 64 bytes, little-endian.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ConnectionReport
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>Bytes of a congestion control's name, the last of them 0 (TCP_CA_NAME_MAX).</summary>
    public const int NameBytes = 16;

    /// <summary>CoreEngine's loop, the connection's id there, and its guest.</summary>
    public uint Loop, Id, Guest;

    /// <summary>Segment size, bytes.</summary>
    public uint Mss;

    /// <summary>Congestion window and slow-start threshold, segments; a threshold of 0x7fffffff was never set.</summary>
    public uint Cwnd, Ssthresh;

    /// <summary>Smoothed round-trip time and its variation, microseconds.</summary>
    public uint Rtt, RttVar;

    /// <summary>Segments sent again, ever.</summary>
    public uint Retransmits;

    /// <summary>Retransmission timeout, microseconds.</summary>
    public uint Rto;

    /// <summary>What the connection delivers, bytes per second.</summary>
    public ulong DeliveryRate;

    /// <summary>Name of the congestion control.</summary>
    public fixed byte Congestion[NameBytes];
}

/// <summary>A question on an NSM's report socket: the connections from this one on.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ReportRequest
{
    /// <summary>Bytes.</summary>
    public const int Length = 16;

    /// <summary><see cref="ReportAnswer.Magic"/>.</summary>
    public ulong Magic;

    /// <summary>Queue set and connection id to begin with; 0 and 0 the first time, then what the answer said.</summary>
    public uint QueueSet, Id;
}

/// <summary>Head of the answer; the <see cref="ConnectionReport"/>s follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ReportAnswer
{
    /// <summary>Bytes.</summary>
    public const int Length = 24;

    /// <summary>Reports in one answer.</summary>
    public const int Most = 64;

    /// <summary>"NKREPOR1".</summary>
    public const ulong Magic = 0x31524F504552_4B4E;

    /// <summary><see cref="Magic"/>.</summary>
    public ulong Mark;

    /// <summary>Where to go on.</summary>
    public uint QueueSet, Id;

    /// <summary>Reports in this answer.</summary>
    public uint Count;

    /// <summary>1: nothing follows.</summary>
    public uint IsLast;

    /// <summary>The socket's path (SOCK_SEQPACKET) in a run directory.</summary>
    public static string PathOf(string runDirectory, uint nsm) => System.IO.Path.Combine(runDirectory, "nsm-" + nsm.ToString(System.Globalization.CultureInfo.InvariantCulture) + ".report");
}
