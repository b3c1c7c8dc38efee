using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>One process of a guest (or the NSM itself in an NSM's region) and the flag by which it is woken. Slot p owns queue set p.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public unsafe struct ProcessSlot
{
    /// <summary>Bytes.</summary>
    public const int Length = 256;

    /// <summary>See <see cref="ProcessState"/>. Claimed by exchange from Free, by CoreEngine at attach or by the parent before a fork.</summary>
    [FieldOffset(0)] public uint State;

    /// <summary>Process id, written by CoreEngine from the peer credentials.</summary>
    [FieldOffset(4)] public uint Pid;

    /// <summary>For a slot in state Forking: the parent's slot.</summary>
    [FieldOffset(8)] public uint Parent;

    /// <summary>Sockets the guest library refused to this process, with a reason on its standard error.</summary>
    [FieldOffset(12)] public uint Refused;

    /// <summary>The program's name (comm), zero-terminated. Written by the guest; shown to operators as the guest's claim.</summary>
    [FieldOffset(16)] public fixed byte Name[16];

    /// <summary>1 while the process sleeps on its doorbell. The sleeper writes 1, the ringer exchanges it for 0 and rings.</summary>
    [FieldOffset(128)] public uint Asleep;

    /// <summary>The CPU on which whoever rang last ran, plus 1; 0: not known. A hint (<see cref="IdleStrategy.Beside"/>), written before ringing.</summary>
    [FieldOffset(132)] public uint RungOn;
}

/// <summary>Values of <see cref="ProcessSlot.State"/>.</summary>
public static class ProcessState
{
    /// <summary>Nobody's.</summary>
    public const uint Free = 0;

    /// <summary>Claimed by a parent for the child that it is about to make.</summary>
    public const uint Forking = 1;

    /// <summary>A process that CoreEngine knows and watches.</summary>
    public const uint Live = 2;
}

/// <summary>
/// The owner word of a TX chunk. Taking a chunk is one compare-and-exchange from <see cref="Free"/>, so that a process killed at any
/// moment leaves a word that says what to do with it.
/// </summary>
public static class TxOwner
{
    /// <summary>Nobody's.</summary>
    public const uint Free = 0;

    /// <summary>Set with the socket id in the low bits: submitted by a Send that has not been completed. Freed by whoever handles SendDone.</summary>
    public const uint InFlight = 0x4000_0000;

    /// <summary>Set with the process slot in the low bits: being filled. Freed by CoreEngine when the process ends.</summary>
    public const uint Filling = 0x8000_0000;

    /// <summary>The low bits.</summary>
    public const uint IdMask = 0x3FFF_FFFF;
}
