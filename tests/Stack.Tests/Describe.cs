using System.Buffers.Binary;

namespace NetKernel.Stack.Tests;

/// <summary>Frames as text, for the messages of tests that failed.</summary>
internal static class Describe
{
    public static string Tail(Simulation sim, int count) => string.Join('\n', sim.Capture.TakeLast(count).Select(c => $"{c.Time} {Frame(c.Frame)}"));

    public static string Frame(byte[] f)
    {
        int ip = f[12] == 0x81 && f[13] == 0 ? 18 : 14;
        int type = BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(ip - 2));
        if (type == 0x806)
        {
            return "ARP";
        }

        bool v6 = type == 0x86DD;
        int next = v6 ? f[ip + 6] : f[ip + 9];
        int tcp = ip + (v6 ? 40 : (f[ip] & 15) * 4);
        if (next != 6)
        {
            return $"protocol {next}, {f.Length} bytes";
        }

        int total = v6 ? BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(ip + 4)) + 40 : BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(ip + 2));
        int header = (f[tcp + 12] >> 4) * 4;
        int flags = f[tcp + 13];
        string names = string.Concat("FSRPAUEC".Where((_, i) => (flags & (1 << i)) != 0));
        return $"{BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(tcp))}>{BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(tcp + 2))} {names} "
            + $"seq {BinaryPrimitives.ReadUInt32BigEndian(f.AsSpan(tcp + 4))} ack {BinaryPrimitives.ReadUInt32BigEndian(f.AsSpan(tcp + 8))} "
            + $"win {BinaryPrimitives.ReadUInt16BigEndian(f.AsSpan(tcp + 14))} len {total + ip - tcp - header} options {Convert.ToHexString(f, tcp + 20, header - 20)}";
    }
}
