using System.Net;
using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ServiceLib.Testing;

/// <summary>Datagrams as a guest writes and reads them: a <see cref="DatagramHeader"/> and the payload, in one chunk or two.</summary>
public static class Datagrams
{
    private const int MostInFirst = 65536 - DatagramHeader.Bytes;

    /// <summary>A header; without an address it goes to the connected peer.</summary>
    public static DatagramHeader Header(int length, string? address = null, int port = 0)
    {
        DatagramHeader header = new() { Length = (uint)length };
        if (address != null)
        {
            (header.PeerLow, header.PeerHigh) = Halves(address);
            header.PeerPort = (ushort)port;
            header.Fields = DatagramFields.Peer;
        }

        return header;
    }

    /// <summary>An address as headers have it.</summary>
    public static (ulong Low, ulong High) Halves(string address)
    {
        byte[] bytes = IPAddress.Parse(address).MapToIPv6().GetAddressBytes();
        return (BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8));
    }

    /// <summary>Sends one datagram, whose header may be changed before.</summary>
    public static void Send(FakeSocket socket, ReadOnlySpan<byte> data, string? address = null, int port = 0, Func<DatagramHeader, DatagramHeader>? change = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        DatagramHeader header = Header(data.Length, address, port);
        header = change == null ? header : change(header);
        int first = Math.Min(data.Length, MostInFirst);
        byte[] bytes = new byte[DatagramHeader.Bytes + first];
        MemoryMarshal.Write(bytes, header);
        data[..first].CopyTo(bytes.AsSpan(DatagramHeader.Bytes));
        socket.Send(bytes, flags: first < data.Length ? NqeFlags.More : NqeFlags.None);
        if (first < data.Length)
        {
            socket.Send(data[first..], flags: NqeFlags.Continued);
        }
    }

    /// <summary>What became of the last one sent: an errno, or 0.</summary>
    public static int SendResult(FakeSocket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        socket.Flushed();
        return socket.SendError;
    }

    /// <summary>Receives one datagram of a known length.</summary>
    public static (DatagramHeader Header, byte[] Payload) Receive(FakeSocket socket, int length)
    {
        ArgumentNullException.ThrowIfNull(socket);
        byte[] bytes = socket.Receive(DatagramHeader.Bytes + length);
        DatagramHeader header = MemoryMarshal.Read<DatagramHeader>(bytes);
        return header.Length == length ? (header, bytes[DatagramHeader.Bytes..]) : throw new InvalidOperationException($"{header.Length} bytes in place of {length}");
    }
}
