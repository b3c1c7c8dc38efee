using System.Buffers.Binary;
using System.Net;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// A classic BPF program (bpf(4); Linux, Documentation/networking/filter.rst) that lets through what concerns a guest's addresses, and of TCP and UDP one
/// port if wanted. The kernel runs it, so that frames of others never come here.
/// </summary>
internal static class PacketFilter
{
    /// <summary>One instruction, struct sock_filter.</summary>
    internal readonly record struct Instruction(ushort Code, byte True, byte False, uint Operand);

    private const ushort LoadWord = 0x20, LoadHalf = 0x28, LoadByte = 0x30, LoadHalfAtX = 0x48, HeaderLengthToX = 0xB1, JumpIfEqual = 0x15, JumpIfSet = 0x45, Return = 0x06;
    private const uint TypeAt = 12, V4Fragment = 20, V4Protocol = 23, V4Source = 26, V4Destination = 30, ArpSender = 28, ArpTarget = 38, V6Protocol = 20, V6Source = 22,
        V6Destination = 38, V6Payload = 54, Everything = 0x40000;

    /// <summary>The program; port 0: every one.</summary>
    public static Instruction[] Make(IPAddress v4, IPAddress v6, ushort port)
    {
        var program = new Assembler();
        uint address = BinaryPrimitives.ReadUInt32BigEndian(v4.GetAddressBytes());
        program.Load(LoadHalf, TypeAt);
        program.IfEqual(0x0800, "ip");
        program.IfEqual(0x86DD, "ip6");
        program.IfEqual(0x0806, "arp", "no");

        program.Label("ip");
        program.Load(LoadWord, V4Source);
        program.IfEqual(address, "ip-ours");
        program.Load(LoadWord, V4Destination);
        program.IfEqual(address, "ip-ours", "no");
        program.Label("ip-ours");
        if (port != 0)
        {
            program.Load(LoadByte, V4Protocol);
            program.IfEqual(6, "ip-ports");
            program.IfEqual(17, "ip-ports");
            program.IfEqual(1, "yes", "no");
            program.Label("ip-ports");
            program.Load(LoadHalf, V4Fragment);
            program.Add(JumpIfSet, 0x1FFF, "yes", ""); // A later fragment has no ports: better one too many.
            program.Load(HeaderLengthToX, 14);
            program.Load(LoadHalfAtX, 14);
            program.IfEqual(port, "yes");
            program.Load(LoadHalfAtX, 16);
            program.IfEqual(port, "yes", "no");
        }
        else
        {
            program.Add(Return, Everything, "", "");
        }

        program.Label("ip6");
        SixteenBytes(program, v6, V6Source, "ip6-ours", "ip6-to");
        program.Label("ip6-to");
        SixteenBytes(program, v6, V6Destination, "ip6-ours", "no");
        program.Label("ip6-ours");
        if (port != 0)
        {
            program.Load(LoadByte, V6Protocol);
            program.IfEqual(6, "ip6-ports");
            program.IfEqual(17, "ip6-ports");
            program.IfEqual(44, "yes"); // fragments
            program.IfEqual(58, "yes", "no");
            program.Label("ip6-ports");
            program.Load(LoadHalf, V6Payload);
            program.IfEqual(port, "yes");
            program.Load(LoadHalf, V6Payload + 2);
            program.IfEqual(port, "yes", "no");
        }
        else
        {
            program.Add(Return, Everything, "", "");
        }

        program.Label("arp");
        program.Load(LoadWord, ArpSender);
        program.IfEqual(address, "yes");
        program.Load(LoadWord, ArpTarget);
        program.IfEqual(address, "yes", "no");

        program.Label("yes");
        program.Add(Return, Everything, "", "");
        program.Label("no");
        program.Add(Return, 0, "", "");
        return program.Finish();
    }

    private static void SixteenBytes(Assembler program, IPAddress address, uint at, string yes, string no)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int i = 0; i < 16; i += 4)
        {
            program.Load(LoadWord, at + (uint)i);
            program.IfEqual(BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(i)), i == 12 ? yes : "", no);
        }
    }

    /// <summary>Instructions whose jumps name labels; "" is the next one. Jumps go forward only, as the kernel demands.</summary>
    private sealed class Assembler
    {
        private readonly List<(ushort Code, uint Operand, string True, string False)> _code = [];
        private readonly Dictionary<string, int> _labels = [];

        public void Label(string name) => _labels.Add(name, _code.Count);

        public void Load(ushort code, uint operand) => Add(code, operand, "", "");

        public void IfEqual(uint value, string yes, string no = "") => Add(JumpIfEqual, value, yes, no);

        public void Add(ushort code, uint operand, string yes, string no) => _code.Add((code, operand, yes, no));

        public Instruction[] Finish() => [.. _code.Select((one, at) => new Instruction(one.Code, Jump(one.True, at), Jump(one.False, at), one.Operand))];

        private byte Jump(string label, int at) => label.Length == 0 ? (byte)0 : checked((byte)(_labels[label] - at - 1));
    }
}
