using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Bad frames on a real veth are dropped, and counted by reason where operators read it: in the file of measures.</summary>
public sealed class DropTests
{
    private const string Own = MtcpNsm.Address4;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Bad_frames_are_counted_by_reason(uint cores)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            return;
        }

        using MtcpNsm nsm = new(cores, options: ["--cores", $"{cores}"]);
        (string Reason, byte[] Packet)[] bad =
        [
            ("ip_truncated", Ip(Own, 6, new byte[20], total: 400)),
            ("ip_malformed", Ip(Own, 6, new byte[20], versionAndLength: 0x43)),
            ("ip_checksum", Ip(Own, 6, new byte[20], spoil: true)),
            ("ip_bad_source", Ip(Own, 6, Tcp(), source: Own)),
            ("ip_bad_source", Ip(Own, 6, Tcp(), source: "127.0.0.1")),
            ("ip_bad_source", Ip(Own, 17, new byte[8], source: "224.0.0.1")),
            ("bad_fragment", Ip(Own, 17, new byte[200], fragment: 0x1FFF)), // beyond 65,535 bytes
            ("tcp_checksum", Ip(Own, 6, Tcp())),
            ("udp_malformed", Ip(Own, 17, [0, 9, 0, 9, 0, 90, 0, 0])), // longer than the packet
            ("icmp_checksum", Ip(Own, 1, [8, 0, 0, 0, 0, 0, 0, 0])),
            ("arp_malformed", new byte[28]),
        ];
        const int Times = 3;
        nsm.Outside(() =>
        {
            for (int i = 0; i < Times; i++)
            {
                Send(bad.Select(one => (one.Packet, (ushort)(one.Reason == "arp_malformed" ? 0x0806 : 0x0800))));
            }

            return 0;
        });
        Dictionary<string, long> expected = bad.GroupBy(one => one.Reason).ToDictionary(of => of.Key, of => (long)of.Count() * Times);
        nsm.Engine.Until(() => Read(nsm).Where(one => expected.ContainsKey(one.Key)).Sum(one => one.Value) >= expected.Values.Sum(), "the frames to be counted");
        Dictionary<string, long> found = Read(nsm);
        Assert.All(expected, one => Assert.Equal((one.Key, one.Value), (one.Key, found[one.Key])));

        // Whoever behaves is served meanwhile.
        ServiceLib.Testing.FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial(Own, port);
        _ = peer.Send("good"u8);
        Assert.Equal("good"u8.ToArray(), listener.Accept(out _).Receive(4));
    }

    private static Dictionary<string, long> Read(MtcpNsm nsm)
    {
        using FileStream file = new(Path.Combine(nsm.Engine.RunDirectory, "nsm-1.measures"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        MeasuresHeader header = MemoryMarshal.Read<MeasuresHeader>(bytes);
        Assert.Equal(header.TotalLength, (ulong)bytes.Length);
        Dictionary<string, long> found = [];
        for (uint reason = 0; reason < header.DropReasons; reason++)
        {
            string name = Encoding.ASCII.GetString(bytes, (int)(header.DropsAt + (reason * MeasuresHeader.DropNameBytes)), (int)MeasuresHeader.DropNameBytes).TrimEnd('\0');
            long sum = 0;
            for (uint row = 0; row < header.DropRows; row++)
            {
                sum += BitConverter.ToInt64(bytes, (int)(header.DropsOf(row) + (8 * reason)));
            }

            found.Add(name, sum);
        }

        return found;
    }

    private static byte[] Tcp()
    {
        byte[] tcp = new byte[20];
        BinaryPrimitives.WriteUInt16BigEndian(tcp, 4000);
        BinaryPrimitives.WriteUInt16BigEndian(tcp.AsSpan(2), 80);
        tcp[12] = 0x50;
        tcp[13] = 2; // SYN, and no checksum
        return tcp;
    }

    private static byte[] Ip(string to, byte protocol, byte[] payload, byte versionAndLength = 0x45, int total = 0, ushort fragment = 0, string source = MtcpNsm.Outside4, bool spoil = false)
    {
        byte[] packet = new byte[20 + payload.Length];
        packet[0] = versionAndLength;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)(total != 0 ? total : packet.Length));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), 77);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), fragment);
        packet[8] = 64;
        packet[9] = protocol;
        IPAddress.Parse(source).GetAddressBytes().CopyTo(packet, 12);
        IPAddress.Parse(to).GetAddressBytes().CopyTo(packet, 16);
        uint sum = 0;
        for (int i = 0; i < 20; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(i));
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), (ushort)(spoil ? sum : ~sum));
        payload.CopyTo(packet, 20);
        return packet;
    }

    private static unsafe void Send(IEnumerable<(byte[] Packet, ushort Type)> packets)
    {
        int fd = Sys.Socket(Sys.AF_PACKET, Sys.SOCK_RAW, 0);
        Assert.True(fd >= 0);
        try
        {
            (int index, _, _) = Interface.Query(fd, "nkb");
            (_, _, ulong mac) = Interface.Query(fd, "nka");
            byte* address = stackalloc byte[20];
            new Span<byte>(address, 20).Clear();
            *(ushort*)address = Sys.AF_PACKET;
            *(int*)(address + 4) = index;
            Assert.Equal(0, Sys.Bind(fd, address, 20));
            foreach ((byte[] packet, ushort type) in packets)
            {
                byte[] frame = new byte[14 + packet.Length];
                BitConverter.TryWriteBytes(frame, mac);
                frame[6] = 2;
                BinaryPrimitives.WriteUInt64BigEndian(frame.AsSpan(6), 0x0202_0202_0202_0000);
                BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(12), type);
                packet.CopyTo(frame, 14);
                fixed (byte* p = frame)
                {
                    Libc.IoVec vector = new() { Base = p, Length = (nuint)frame.Length };
                    Assert.Equal(frame.Length, Sys.WriteV(fd, &vector, 1));
                }
            }
        }
        finally
        {
            _ = Libc.Close(fd);
        }
    }
}
