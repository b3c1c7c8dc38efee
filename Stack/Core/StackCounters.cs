using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>Why a packet was dropped.</summary>
public enum DropReason
{
    /// <summary>Shorter than an Ethernet header.</summary>
    EtherTruncated,

    /// <summary>Larger than an IP packet can be.</summary>
    Oversized,

    /// <summary>To another station's address.</summary>
    NotForUs,

    /// <summary>Of another VLAN, or with a tag inside of a tag (802.1Q).</summary>
    OtherVlan,

    /// <summary>A protocol that is not spoken here.</summary>
    UnknownEtherType,

    /// <summary>Malformed ARP.</summary>
    ArpMalformed,

    /// <summary>Shorter than its IP header says.</summary>
    IpTruncated,

    /// <summary>Version, header length or total length impossible.</summary>
    IpMalformed,

    /// <summary>IPv4 header checksum wrong.</summary>
    IpChecksum,

    /// <summary>A source that no host can have.</summary>
    IpBadSource,

    /// <summary>A destination that is not an address of this stack.</summary>
    IpNotLocal,

    /// <summary>A transport that is not spoken here.</summary>
    UnknownProtocol,

    /// <summary>IPv6 extension headers malformed, or too many.</summary>
    ExtensionHeader,

    /// <summary>A fragment that overlaps, or makes a datagram too long.</summary>
    BadFragment,

    /// <summary>Too many datagrams in reassembly.</summary>
    ReassemblyFull,

    /// <summary>A datagram whose fragments did not all come in time.</summary>
    ReassemblyTimeout,

    /// <summary>Malformed ICMP.</summary>
    IcmpMalformed,

    /// <summary>ICMP checksum wrong.</summary>
    IcmpChecksum,

    /// <summary>Malformed or forged neighbour discovery.</summary>
    NdMalformed,

    /// <summary>The ring to another shard was full.</summary>
    ShardFull,

    /// <summary>Malformed UDP.</summary>
    UdpMalformed,

    /// <summary>UDP checksum wrong.</summary>
    UdpChecksum,

    /// <summary>No UDP socket there.</summary>
    UdpNoSocket,

    /// <summary>A UDP socket that is full, or its owner's memory.</summary>
    UdpFull,

    /// <summary>Shorter than a TCP header.</summary>
    TcpTruncated,

    /// <summary>TCP data offset impossible.</summary>
    TcpBadOffset,

    /// <summary>TCP checksum wrong.</summary>
    TcpChecksum,

    /// <summary>Port 0.</summary>
    PortZero,

    /// <summary>To a multicast or broadcast address.</summary>
    TcpMulticast,

    /// <summary>No connection and no listener.</summary>
    TcpNoSocket,

    /// <summary>Outside of the receive window.</summary>
    TcpOutOfWindow,

    /// <summary>An acknowledgement of what was never sent, or is long past.</summary>
    TcpBadAck,

    /// <summary>Timestamp from the past (PAWS).</summary>
    TcpPaws,

    /// <summary>A segment with a signature (RFC 2385): no socket here has a key, and an answer without one would be dropped over there.</summary>
    TcpSigned,

    /// <summary>A segment that its state has no use for.</summary>
    TcpUnexpected,

    /// <summary>Backlog of a listener full.</summary>
    TcpBacklog,

    /// <summary>Out of memory for what arrived.</summary>
    NoMemory,

    /// <summary>Another station says that it has an address of this stack (RFC 5227; RFC 4862, 5.4).</summary>
    AddressConflict,

    /// <summary>Router advertisements and redirects: routes are the operator's.</summary>
    RouterIgnored,

    /// <summary>No route or no neighbour for what was to be sent.</summary>
    NoRoute,

    /// <summary>The link did not take it.</summary>
    LinkFull,

    /// <summary>Number of reasons.</summary>
    Count,
}

/// <summary>What the stack has counted.</summary>
public sealed unsafe class StackCounters
{
    private const int Reasons = (int)DropReason.Count;

    /// <summary>Pinned: <see cref="_drops"/> points at it, or at its owner's memory.</summary>
    private readonly ulong[] _own = GC.AllocateArray<ulong>(Reasons, pinned: true);
    private ulong* _drops;

    /// <summary>All zero.</summary>
    public StackCounters() => _drops = Own;

    private ulong* Own => (ulong*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_own));

    /// <summary>Frames in and out.</summary>
    public ulong FramesIn, FramesOut;

    /// <summary>TCP segments in and out (one of GSO counts once).</summary>
    public ulong SegmentsIn, SegmentsOut;

    /// <summary>Segments sent again.</summary>
    public ulong Retransmits;

    /// <summary>RSTs sent.</summary>
    public ulong ResetsSent;

    /// <summary>Challenge ACKs sent (RFC 5961).</summary>
    public ulong ChallengeAcks;

    /// <summary>SYN cookies sent, and connections made from one.</summary>
    public ulong CookiesSent, CookiesTaken;

    /// <summary>Retransmission timeouts.</summary>
    public ulong Timeouts;

    /// <summary>Datagrams in and out.</summary>
    public ulong DatagramsIn, DatagramsOut;

    /// <summary>Packets dropped for that reason.</summary>
    public ulong Dropped(DropReason reason) => _drops[(int)reason];

    /// <summary>Names of the reasons by their numbers: tcp_checksum for <see cref="DropReason.TcpChecksum"/>.</summary>
    public static string[] DropNames()
    {
        string[] names = new string[Reasons];
        Span<char> text = stackalloc char[64];
        for (int i = 0; i < Reasons; i++)
        {
            string name = Enum.GetName((DropReason)i)!;
            int n = 0;
            foreach (char c in name)
            {
                if (char.IsAsciiLetterUpper(c) && n != 0)
                {
                    text[n++] = '_';
                }

                text[n++] = char.ToLowerInvariant(c);
            }

            names[i] = new string(text[..n]);
        }

        return names;
    }

    /// <summary>Goes on counting drops in that memory, a number per reason; null: in its own again.</summary>
    public void CountDropsAt(ulong* counters)
    {
        counters = counters == null ? Own : counters;
        if (counters != _drops)
        {
            new Span<ulong>(_drops, Reasons).CopyTo(new Span<ulong>(counters, Reasons));
            _drops = counters;
        }
    }

    /// <summary>A packet was dropped.</summary>
    public void Drop(DropReason reason) => _drops[(int)reason]++;
}
