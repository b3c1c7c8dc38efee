using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network;

/// <summary>Tells the link that an address is at another station from now on: gratuitous ARP (RFC 5227, 3), an unsolicited neighbour advertisement (RFC 4861, 7.2.6).</summary>
internal static unsafe class Announcement
{
    private const int AF_PACKET = 17, SOCK_RAW = 3, ArpBytes = 42, AdvertisementBytes = 86, StationsBytes = 12, TagBytes = 4;

    /// <summary>Sends from a device of the network namespace that this thread is in, in a VLAN (0: none); that it fails is no harm, for neighbours ask again.</summary>
    public static void Send(IPAddress address, ReadOnlySpan<byte> station, int device, ushort vlan)
    {
        Span<byte> frame = stackalloc byte[AdvertisementBytes + TagBytes];
        frame.Clear();
        station.CopyTo(frame[6..]);
        int length = address.AddressFamily == AddressFamily.InterNetwork ? Arp(frame, address, station) : Advertisement(frame, address, station);
        int fd = Socket(AF_PACKET, SOCK_RAW, 0);
        if (fd < 0)
        {
            return;
        }

        Span<byte> to = stackalloc byte[20]; // struct sockaddr_ll
        to.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(to, AF_PACKET);
        if (vlan != 0)
        {
            frame[StationsBytes..length].CopyTo(frame[(StationsBytes + TagBytes)..]);
            BinaryPrimitives.WriteUInt32BigEndian(frame[StationsBytes..], 0x8100_0000u | vlan);
            length += TagBytes;
        }

        frame.Slice(StationsBytes, 2).CopyTo(to[2..]);
        BinaryPrimitives.WriteInt32LittleEndian(to[4..], device);
        to[11] = 6;
        frame[..6].CopyTo(to[12..]);
        fixed (byte* bytes = frame, name = to)
        {
            _ = SendTo(fd, bytes, (nuint)length, 0, name, 20);
        }

        _ = Libc.Close(fd);
    }

    private static int Arp(Span<byte> frame, IPAddress address, ReadOnlySpan<byte> station)
    {
        frame[..6].Fill(0xFF);
        ReadOnlySpan<byte> head = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]; // Ethernet and IPv4, request
        head.CopyTo(frame[12..]);
        station.CopyTo(frame[22..]);
        address.GetAddressBytes().CopyTo(frame[28..]);
        address.GetAddressBytes().CopyTo(frame[38..]);
        return ArpBytes;
    }

    private static int Advertisement(Span<byte> frame, IPAddress address, ReadOnlySpan<byte> station)
    {
        ReadOnlySpan<byte> all = [0x33, 0x33, 0, 0, 0, 1];
        all.CopyTo(frame);
        byte[] own = address.GetAddressBytes();
        frame[12] = 0x86;
        frame[13] = 0xDD;
        frame[14] = 0x60;
        frame[19] = 32; // payload
        frame[20] = 58; // ICMPv6
        frame[21] = 255;
        own.CopyTo(frame[22..]);
        IPAddress.Parse("ff02::1").GetAddressBytes().CopyTo(frame[38..]);
        frame[54] = 136;
        frame[58] = 0x20; // override
        own.CopyTo(frame[62..]);
        frame[78] = 2; // target's link-layer address
        frame[79] = 1;
        station.CopyTo(frame[80..]);
        uint sum = 32 + 58;
        for (int i = 22; i < AdvertisementBytes; i += 2)
        {
            sum += BinaryPrimitives.ReadUInt16BigEndian(frame[i..]);
        }

        sum = (sum & 0xFFFF) + (sum >> 16);
        BinaryPrimitives.WriteUInt16BigEndian(frame[56..], (ushort)~((sum & 0xFFFF) + (sum >> 16)));
        return AdvertisementBytes;
    }

    [DllImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static extern int Socket(int domain, int type, int protocol);

    [DllImport("libc", EntryPoint = "sendto", SetLastError = true)]
    private static extern nint SendTo(int fd, byte* bytes, nuint length, int flags, byte* to, uint toLength);
}
