using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The NetKernel queue element: 32 bytes, packed, little-endian; the whole language between guest, CoreEngine and NSM.
/// </summary>
/// <remarks>
/// <code>
///  0      1       2         3            7             15             23      27      29     31
///  +------+-------+---------+------------+-------------+--------------+-------+-------+------+-------+
///  | op 1 | vm  1 | qset  1 | socket   4 | op_data   8 | data ptr   8 | size 4| vm hi2| aux 2| flags1|
///  +------+-------+---------+------------+-------------+--------------+-------+-------+------+-------+
/// </code>
/// Bytes 1, 2 and 27-28 are stamped by CoreEngine; what a guest writes there is ignored.
/// docs/wire-format.md says, for every op, what each field means. Keep the two in step; a layout test holds the offsets.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = Length, Pack = 1)]
public struct Nqe
{
    /// <summary>Bytes of one element.</summary>
    public const int Length = 32;

    /// <summary>What is asked or what happened.</summary>
    [FieldOffset(0)] public Op Op;

    /// <summary>Low byte of the guest's id; stamped by CoreEngine.</summary>
    [FieldOffset(1)] public byte VmLow;

    /// <summary>Queue set id; stamped by CoreEngine.</summary>
    [FieldOffset(2)] public byte QueueSet;

    /// <summary>The guest's socket id on the guest's side, the connection's id on the NSM's side.</summary>
    [FieldOffset(3)] public uint Socket;

    /// <summary>Argument or result; the first 8 bytes of an address.</summary>
    [FieldOffset(7)] public ulong OpData;

    /// <summary>Offset in the pool region, never an address; the last 8 bytes of an IP address.</summary>
    [FieldOffset(15)] public ulong DataPtr;

    /// <summary>Bytes of data; in completions of control requests the errno (0: success).</summary>
    [FieldOffset(23)] public uint Size;

    /// <summary>High 16 bits of the guest's id; stamped by CoreEngine.</summary>
    [FieldOffset(27)] public ushort VmHigh;

    /// <summary>A port in host byte order, where the op has one.</summary>
    [FieldOffset(29)] public ushort Aux;

    /// <summary>See <see cref="NqeFlags"/>.</summary>
    [FieldOffset(31)] public NqeFlags Flags;

    /// <summary>The guest's id, put together from its two parts (24 bits).</summary>
    public uint Vm
    {
        readonly get => VmLow | ((uint)VmHigh << 8);
        set
        {
            VmLow = (byte)value;
            VmHigh = (ushort)(value >> 8);
        }
    }
}
