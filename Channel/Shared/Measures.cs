using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The head of an NSM's file of measures (nsm-ID.measures in the run directory): what its stack has measured of its TCP connections. Behind it lie
/// <see cref="GuestMeasures"/> by guest id. The NSM writes it, apart from <see cref="Round"/>; readers take each word as it is, and no reader need
/// believe any of it.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct MeasuresHeader
{
    /// <summary>Bytes.</summary>
    public const int Length = 4096;

    /// <summary>"NKMEAS01".</summary>
    public const ulong MagicValue = 0x31305341_454D4B4E;

    /// <summary><see cref="MagicValue"/>.</summary>
    [FieldOffset(0)] public ulong Magic;

    /// <summary>Guest rows.</summary>
    [FieldOffset(8)] public uint Guests;

    /// <summary>Process id of the NSM.</summary>
    [FieldOffset(12)] public uint Pid;

    /// <summary>Monotonic clock, ns, when the NSM started.</summary>
    [FieldOffset(16)] public ulong Started;

    /// <summary>Offset of what the stack counts of packets that it dropped: <see cref="DropReasons"/> names of <see cref="DropNameBytes"/> each (the last 0), then a row of as many counters for each of
    /// its threads.</summary>
    [FieldOffset(24)] public ulong DropsAt;

    /// <summary>Reasons for which the stack drops packets; 0: it does not count them.</summary>
    [FieldOffset(32)] public uint DropReasons;

    /// <summary>Threads of the stack.</summary>
    [FieldOffset(36)] public uint DropRows;

    /// <summary>Bytes of a reason's name.</summary>
    public const uint DropNameBytes = 32;

    /// <summary>Raised by who wants fresh measures: each connection is measured once a round, when it next has something to do.</summary>
    [FieldOffset(64)] public uint Round;

    /// <summary>Offset of a guest's row.</summary>
    public readonly ulong GuestOf(uint guest) => Length + ((ulong)guest * GuestMeasures.Length);

    /// <summary>Offset of a thread's counters of dropped packets; each row has cache lines of its own.</summary>
    public readonly ulong DropsOf(uint row) => DropsAt + (DropReasons * DropNameBytes) + (row * (((DropReasons * 8ul) + 63) & ~63ul));

    /// <summary>Bytes of the file.</summary>
    public readonly ulong TotalLength => DropReasons == 0 ? GuestOf(Guests) : DropsOf(DropRows);
}

/// <summary>What an NSM's stack has measured for one guest.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct GuestMeasures
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>Monotonic clock, ns, when these began at zero.</summary>
    [FieldOffset(0)] public ulong Since;

    /// <summary>Segments sent again (tcpi_total_retrans).</summary>
    [FieldOffset(8)] public ulong Retransmits;

    /// <summary>Sum of the smoothed round-trip times seen (tcpi_rtt), microseconds.</summary>
    [FieldOffset(16)] public ulong RttMicroseconds;

    /// <summary>How many were seen: one per connection and round, and one at its end.</summary>
    [FieldOffset(24)] public ulong RttSamples;
}
