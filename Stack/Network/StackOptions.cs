namespace NetKernel.Stack;

/// <summary>What is fixed for the life of a stack.</summary>
public sealed class StackOptions
{
    /// <summary>Connections at most (in any state but TIME-WAIT).</summary>
    public uint MaxConnections { get; init; } = 1 << 18;

    /// <summary>TIME-WAIT entries at most; beyond that the oldest ends early.</summary>
    public uint MaxTimeWait { get; init; } = 1 << 18;

    /// <summary>Segments in flight at most, of all connections.</summary>
    public uint MaxSegments { get; init; } = 1 << 20;

    /// <summary>Blocks of 2 KB for data that arrived and was not taken, of all connections.</summary>
    public uint MaxBlocks { get; init; } = 1 << 17;

    /// <summary>The largest receive buffer of a connection, bytes; decides the window scale (RFC 7323, 2.3).</summary>
    public uint MaxReceiveBuffer { get; init; } = 6 << 20;

    /// <summary>The receive buffer that a connection begins with.</summary>
    public uint InitialReceiveBuffer { get; init; } = 128 << 10;

    /// <summary>Bytes that the owner of a connection holds for a program that does not read. Tuning makes a buffer larger only for programs that keep up.</summary>
    public uint OwnerHolds { get; init; } = 256 << 10;

    /// <summary>Congestion control of connections that do not choose.</summary>
    public CongestionControl Congestion { get; init; } = CongestionControl.Find("cubic")!;

    /// <summary>ECN (RFC 3168): ask for it when connecting. It is accepted from others in any case.</summary>
    public bool RequestEcn { get; init; }

    /// <summary>VLAN of every frame (802.1Q), 1 to 4094; 0: untagged.</summary>
    public ushort Vlan { get; init; }

    /// <summary>Priority of every frame (802.1p), 0 to 7; with VLAN 0 a tag that has only that.</summary>
    public byte VlanPriority { get; init; }

    /// <summary>Bytes of Ethernet's header with the tag, if there is one.</summary>
    internal uint EtherLength => (uint)Field.EtherLength + (Tci != 0 ? 4u : 0);

    /// <summary>The tag's value; 0: there is no tag.</summary>
    internal uint Tci => ((uint)VlanPriority << 13) | Vlan;

    /// <summary>Smallest retransmission timeout, microseconds. RFC 6298 (2.4) says one second; 200 ms is what Linux uses, and what its delayed ACKs are made for.</summary>
    public long MinRto { get; init; } = 200_000;

    /// <summary>How long TIME-WAIT lasts, microseconds.</summary>
    public long TimeWait { get; init; } = 60_000_000;

    /// <summary>Always answer SYNs with cookies (for tests); else only when a backlog is full.</summary>
    public bool AlwaysCookies { get; init; }
}
