using System.Buffers.Binary;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>The classic BPF program that the kernel chooses a shard by is <see cref="FlowHash"/>; what has no ports goes to the first.</summary>
public sealed class FanoutTests
{
    private const uint Key = 0xDEAD_BEEF, Shards = 7;

    [Theory]
    [InlineData(6, 20)]
    [InlineData(17, 20)]
    [InlineData(6, 60)]
    public void IPv4_is_as_the_stack_has_it(byte protocol, int header)
    {
        Random random = new(header + protocol);
        for (int i = 0; i < 200; i++)
        {
            byte[] packet = new byte[header + 20];
            random.NextBytes(packet);
            packet[0] = (byte)(0x40 | (header / 4));
            packet[6] = 0x40; // don't fragment
            packet[7] = 0;
            packet[9] = protocol;
            uint home = FlowHash.ShardOf(
                Address.V4(BitConverter.ToUInt32(packet, 16)), Address.V4(BitConverter.ToUInt32(packet, 12)), Port(packet, header + 2), Port(packet, header), Key, Shards);
            Assert.Equal(home, Run(packet, 0x0800) % Shards);
        }
    }

    [Theory]
    [InlineData(6)]
    [InlineData(17)]
    public void IPv6_too(byte protocol)
    {
        Random random = new(protocol);
        for (int i = 0; i < 200; i++)
        {
            byte[] packet = new byte[60];
            random.NextBytes(packet);
            packet[6] = protocol;
            Address source = new(BitConverter.ToUInt64(packet, 8), BitConverter.ToUInt64(packet, 16)), destination = new(BitConverter.ToUInt64(packet, 24), BitConverter.ToUInt64(packet, 32));
            Assert.Equal(FlowHash.ShardOf(destination, source, Port(packet, 42), Port(packet, 40), Key, Shards), Run(packet, 0x86DD) % Shards);
        }
    }

    [Theory]
    [InlineData(0x0806, 9, 0)] // ARP
    [InlineData(0x0800, 9, 1)] // ICMP
    [InlineData(0x86DD, 6, 58)] // ICMPv6
    [InlineData(0x86DD, 6, 44)] // an IPv6 fragment
    public void The_rest_goes_to_the_first(int type, int at, byte value)
    {
        byte[] packet = new byte[80];
        packet.AsSpan().Fill(0x45);
        packet[6] = 0x40;
        packet[7] = 0;
        packet[at] = value;
        Assert.Equal(0u, Run(packet, (ushort)type));
    }

    [Theory]
    [InlineData(0x2000)]
    [InlineData(0x0001)]
    public void So_do_IPv4_fragments(ushort fragment)
    {
        byte[] packet = new byte[80];
        packet.AsSpan().Fill(0x45);
        packet[9] = 17;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), fragment);
        Assert.Equal(0u, Run(packet, 0x0800));
    }

    private static ushort Port(byte[] packet, int at) => BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(at));

    /// <summary>What the kernel does with the instructions that the program has (networking/filter.rst).</summary>
    private static uint Run(byte[] packet, ushort etherType)
    {
        const uint Net = unchecked((uint)-0x100000), Protocol = unchecked((uint)-0x1000);
        uint a = 0, x = 0, memory = 0;
        FanoutProgram.Instruction[] program = FanoutProgram.Write(Key);
        for (int pc = 0; ; pc++)
        {
            FanoutProgram.Instruction i = program[pc];
            ReadOnlySpan<byte> at = i.Value >= Net && i.Value != Protocol && i.Code is 0x20 or 0x28 or 0x30 ? packet.AsSpan((int)(i.Value - Net)) : default;
            switch (i.Code)
            {
                case 0x20:
                    a = i.Value == Protocol ? etherType : BinaryPrimitives.ReadUInt32BigEndian(at);
                    break;
                case 0x28:
                    a = BinaryPrimitives.ReadUInt16BigEndian(at);
                    break;
                case 0x30:
                    a = at[0];
                    break;
                case 0x40:
                    a = BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan((int)(i.Value - Net + x)));
                    break;
                case 0x61:
                    x = memory;
                    break;
                case 0xb1:
                    x = (packet[i.Value - Net] & 15u) * 4;
                    break;
                case 0x02:
                    memory = a;
                    break;
                case 0xa4:
                    a ^= i.Value;
                    break;
                case 0xac:
                    a ^= x;
                    break;
                case 0x24:
                    a *= i.Value;
                    break;
                case 0x74:
                    a >>= (int)i.Value;
                    break;
                case 0x05:
                    pc += (int)i.Value;
                    break;
                case 0x15:
                    pc += a == i.Value ? i.IfTrue : i.IfFalse;
                    break;
                case 0x45:
                    pc += (a & i.Value) != 0 ? i.IfTrue : i.IfFalse;
                    break;
                case 0x07:
                    x = a;
                    break;
                case 0x06:
                    return i.Value;
                case 0x16:
                    return a;
                default:
                    throw new InvalidOperationException($"instruction {i.Code:x}");
            }
        }
    }
}
