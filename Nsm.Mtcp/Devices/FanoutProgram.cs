using System.Runtime.InteropServices;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>
/// Gives each of several AF_PACKET sockets its shard's packets (packet(7), PACKET_FANOUT), by <see cref="FlowHash"/> written in classic BPF. What has no ports where they are looked for (ARP,
/// ICMP, fragments, IPv6 extension headers) goes to the first.
/// </summary>
internal static unsafe class FanoutProgram
{
    private const int PACKET_FANOUT = 18, PACKET_FANOUT_DATA = 22, PACKET_FANOUT_CBPF = 6;
    private const int UniqueId = 0x2000, IgnoreOutgoing = 0x4000;

    // linux/filter.h; offsets from the network header, and the protocol of the frame.
    private const uint Net = unchecked((uint)-0x100000), Protocol = unchecked((uint)-0x1000);
    private const ushort LoadWord = 0x20, LoadHalf = 0x28, LoadByte = 0x30, LoadWordAtX = 0x40, LoadX = 0x61, LoadXHeader = 0xb1, Store = 0x02, Xor = 0xa4, XorX = 0xac, Multiply = 0x24,
        ShiftRight = 0x74, JumpEqual = 0x15, Jump = 0x05, JumpSet = 0x45, Return = 0x06, ReturnA = 0x16, ToX = 0x07;

    /// <summary>Puts a bound socket into the group: the first makes it (<paramref name="group"/> 0) and returns its number, the others come in their order.</summary>
    /// <exception cref="DeviceException">The kernel refuses.</exception>
    public static int Join(int fd, int group, uint key)
    {
        int argument = group | ((PACKET_FANOUT_CBPF | IgnoreOutgoing | (group == 0 ? UniqueId : 0)) << 16);
        if (Sys.SetSockOpt(fd, Sys.SOL_PACKET, PACKET_FANOUT, &argument, sizeof(int)) != 0)
        {
            throw new DeviceException($"PACKET_FANOUT: {Channel.Host.Libc.Describe(Sys.Errno)}");
        }

        if (group != 0)
        {
            return group;
        }

        SetProgram(fd, key);
        uint length = sizeof(int);
        return Sys.GetSockOpt(fd, Sys.SOL_PACKET, PACKET_FANOUT, &argument, &length) == 0
            ? argument & 0xFFFF
            : throw new DeviceException($"PACKET_FANOUT: {Channel.Host.Libc.Describe(Sys.Errno)}");
    }

    /// <summary>The program; what it returns is taken modulo the number of sockets.</summary>
    internal static Instruction[] Write(uint key) =>
    [
        new(LoadWord, Protocol),
        new(JumpEqual, 0x0800, 2, 0),
        new(JumpEqual, 0x86DD, 17, 0),
        new(Return, 0),

        // IPv4: TCP and UDP, no fragments; X is the header's length.
        new(LoadByte, Net + 9),
        new(JumpEqual, 6, 1, 0),
        new(JumpEqual, 17, 0, 27),
        new(LoadHalf, Net + 6),
        new(JumpSet, 0x3FFF, 25, 0),
        new(LoadWord, Net + 12),
        new(ToX, 0),
        new(LoadWord, Net + 16),
        new(XorX, 0),
        new(Store, 0),
        new(LoadXHeader, Net),
        new(LoadWordAtX, Net),
        new(LoadX, 0),
        new(XorX, 0),
        new(Xor, key),
        new(Jump, 11),

        // IPv6: the last words of the addresses, and the ports right behind the header.
        new(LoadByte, Net + 6),
        new(JumpEqual, 6, 1, 0),
        new(JumpEqual, 17, 0, 11),
        new(LoadWord, Net + 20),
        new(ToX, 0),
        new(LoadWord, Net + 36),
        new(XorX, 0),
        new(ToX, 0),
        new(LoadWord, Net + 40),
        new(XorX, 0),
        new(Xor, key),
        new(Multiply, FlowHash.Multiplier),
        new(ShiftRight, FlowHash.Shift),
        new(ReturnA, 0),
        new(Return, 0),
    ];

    private static void SetProgram(int fd, uint key)
    {
        Instruction[] program = Write(key);
        fixed (Instruction* first = program)
        {
            Filter filter = new() { Length = (ushort)program.Length, Instructions = first };
            if (Sys.SetSockOpt(fd, Sys.SOL_PACKET, PACKET_FANOUT_DATA, &filter, (uint)sizeof(Filter)) != 0)
            {
                throw new DeviceException($"PACKET_FANOUT_DATA: {Channel.Host.Libc.Describe(Sys.Errno)}");
            }
        }
    }

    /// <summary>struct sock_filter.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal readonly struct Instruction(ushort code, uint value, byte ifTrue = 0, byte ifFalse = 0)
    {
        public readonly ushort Code = code;
        public readonly byte IfTrue = ifTrue;
        public readonly byte IfFalse = ifFalse;
        public readonly uint Value = value;
    }

    /// <summary>struct sock_fprog.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Filter
    {
        public ushort Length;
        public Instruction* Instructions;
    }
}
