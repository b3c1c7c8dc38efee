using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// A classic BPF program of an AF_PACKET socket that looks at the VLAN tag, which the kernel takes off and keeps beside the frame (Linux, Documentation/networking/filter.rst). Frames of our
/// VLAN come whole; of others one byte, so that they can be counted and cost nothing.
/// </summary>
/// <remarks>The tag could be had with each frame by PACKET_AUXDATA: a control message each, for what is the same for all that are of use.</remarks>
internal static unsafe class VlanFilter
{
    private const ushort LoadAbsolute = 0x20, JumpEqual = 0x15, And = 0x54, Return = 0x06; // BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_ALU|BPF_AND|BPF_K, BPF_RET|BPF_K
    private const uint Ancillary = unchecked((uint)-0x1000), VlanTag = Ancillary + 44, VlanTagPresent = Ancillary + 48; // SKF_AD_...
    private const uint VlanMask = 0xFFF, Whole = 0x40000, OneByte = 1;

    /// <summary>Puts the program on a socket.</summary>
    /// <exception cref="DeviceException">The kernel does not take it.</exception>
    public static void Attach(int fd, ushort vlan)
    {
        // Untagged is VLAN 0, and so is a tag that has a priority only.
        ReadOnlySpan<Instruction> program =
        [
            new(LoadAbsolute, VlanTagPresent),
            new(JumpEqual, 0, WhenTrue: 2),
            new(LoadAbsolute, VlanTag),
            new(And, VlanMask),
            new(JumpEqual, vlan, WhenFalse: 1),
            new(Return, Whole),
            new(Return, OneByte),
        ];
        fixed (Instruction* p = program)
        {
            Program filter = new() { Length = (ushort)program.Length, Instructions = p };
            if (Sys.SetSockOpt(fd, Libc.SOL_SOCKET, Sys.SO_ATTACH_FILTER, &filter, (uint)sizeof(Program)) != 0)
            {
                throw new DeviceException($"SO_ATTACH_FILTER: {Libc.Describe(Sys.Errno)}");
            }
        }
    }

    /// <summary>struct sock_filter.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly record struct Instruction(ushort Code, byte WhenTrue, byte WhenFalse, uint Value)
    {
        public Instruction(ushort code, uint value, byte WhenTrue = 0, byte WhenFalse = 0)
            : this(code, WhenTrue, WhenFalse, value)
        {
        }
    }

    /// <summary>struct sock_fprog.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Program
    {
        public ushort Length;
        public Instruction* Instructions;
    }
}
