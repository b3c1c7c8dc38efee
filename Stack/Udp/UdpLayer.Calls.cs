using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <content>What the user of a socket calls.</content>
public sealed unsafe partial class UdpLayer
{
    private const ushort FirstEphemeral = 32768, EphemeralPorts = 28232; // Linux's default range, 32768-60999

    /// <summary>Sockets that may share an address and port (SO_REUSEPORT, SO_REUSEADDR): each datagram to it looks at all of them.</summary>
    private const uint MostSharing = 256;

    /// <summary>rmem_default in socket(7).</summary>
    public const uint DefaultReceiveLimit = 212_992;

    /// <summary>A socket that is not bound; null when there are too many.</summary>
    public UdpSocket* Open(void* user, UdpBudget* budget)
    {
        UdpSocket* s = (UdpSocket*)_sockets.Take();
        if (s != null)
        {
            *s = default;
            s->User = user;
            s->Budget = budget;
            s->ReceiveLimit = DefaultReceiveLimit;
            s->Ttl = 64;
        }

        return s;
    }

    /// <summary>Ends a socket; what waited in it is lost.</summary>
    public void Close(UdpSocket* s)
    {
        Unbind(s);
        Empty(s);
        _sockets.Give(s);
    }

    /// <summary>Binds a socket that is not bound to an address of this stack and a port (0: any free one). Returns an errno.</summary>
    public int Bind(UdpSocket* s, in Address local, ushort port, bool reuseAddress, bool reusePort)
    {
        if (port == 0)
        {
            uint start = _random.Below(EphemeralPorts);
            for (uint i = 0; i < EphemeralPorts && port == 0; i++)
            {
                ushort candidate = (ushort)(FirstEphemeral + ((start + i) % EphemeralPorts));
                port = IsTaken(local, candidate, false, false) || IsElsewhere(local, candidate) ? (ushort)0 : candidate;
            }
        }

        if (port == 0 || IsTaken(local, port, reuseAddress, reusePort))
        {
            return Errno.AddressInUse;
        }

        if (Sharing(local, port) >= MostSharing)
        {
            return Errno.NoBuffers;
        }

        PortClaim claim = ClaimOf(local, port) & ((reuseAddress ? PortClaim.ReuseAddress : 0) | (reusePort ? PortClaim.ReusePort : 0));
        if (_stack.Shard is { } shard && !shard.Claims.TryClaim(udp: true, local, port, shard.Index, claim | PortClaim.Bound, listens: false))
        {
            return Errno.AddressInUse;
        }

        s->Local = local;
        s->LocalPort = port;
        s->ReuseAddress = reuseAddress;
        s->ReusePort = reusePort;
        UdpSocket** bucket = BucketOf(local, port);
        s->Next = *bucket;
        *bucket = s;
        return 0;
    }

    private bool IsElsewhere(in Address local, ushort port) =>
        _stack.Shard is { } shard && shard.Claims.IsElsewhere(udp: true, local, port, shard.Index);

    /// <summary>What all of this shard's sockets at a port have been allowed.</summary>
    private PortClaim ClaimOf(in Address local, ushort port)
    {
        PortClaim all = PortClaim.ReuseAddress | PortClaim.ReusePort;
        for (UdpSocket* s = *BucketOf(local, port); s != null; s = s->Next)
        {
            if (s->LocalPort == port && s->Local == local)
            {
                all &= s->ReuseAddress ? all : ~PortClaim.ReuseAddress;
                all &= s->ReusePort ? all : ~PortClaim.ReusePort;
            }
        }

        return all;
    }

    private uint Sharing(in Address local, ushort port)
    {
        uint count = 0;
        for (UdpSocket* s = *BucketOf(local, port); s != null; s = s->Next)
        {
            count += s->LocalPort == port && s->Local == local ? 1u : 0;
        }

        return count;
    }

    /// <summary>Gives the port back, and the peer.</summary>
    public void Unbind(UdpSocket* s)
    {
        Disconnect(s);
        if (s->LocalPort == 0)
        {
            return;
        }

        UdpSocket** at = BucketOf(s->Local, s->LocalPort);
        while (*at != s)
        {
            at = &(*at)->Next;
        }

        *at = s->Next;
        s->Next = null;
        if (_stack.Shard is { } shard)
        {
            PortClaim left = Sharing(s->Local, s->LocalPort) != 0 ? ClaimOf(s->Local, s->LocalPort) | PortClaim.Bound : PortClaim.None;
            shard.Claims.Set(udp: true, s->Local, s->LocalPort, shard.Index, left);
        }

        s->LocalPort = 0;
        s->Local = default;
    }

    /// <summary>Gives a bound socket a peer.</summary>
    public static void Connect(UdpSocket* s, in Address remote, ushort port)
    {
        s->Remote = remote;
        s->RemotePort = port;
        s->IsConnected = true;
        s->IsDeaf = false;
    }

    /// <summary>Ends the association; the port stays.</summary>
    public static void Disconnect(UdpSocket* s)
    {
        s->Remote = default;
        s->RemotePort = 0;
        s->IsConnected = false;
        s->IsDeaf = false;
    }

    /// <summary>Sends a datagram from a bound socket; the pieces are the caller's again when this returns. Returns an errno.</summary>
    public int Send(UdpSocket* s, in Address to, ushort port, byte tos, byte ttl, Extent* pieces, uint count, uint length)
    {
        const uint MostV4 = 65507, MostV6 = 65527; // RFC 791, RFC 768
        if (length > (to.IsV4 ? MostV4 : MostV6))
        {
            return Errno.MessageSize;
        }

        uint headers = Field.UdpHeader + (to.IsV4 ? (uint)Field.V4Length : Field.V6Length);
        if (s->DontFragment && !_stack.IsLocal(to) && length + headers > _stack.MtuTo(to))
        {
            return Errno.MessageSize;
        }

        byte* header = _stack.TransportHeader;
        Wire.U16(header, s->LocalPort);
        Wire.U16(header + 2, port);
        Wire.U16(header + Field.UdpLength, length + Field.UdpHeader);
        OutFrame frame = default;
        frame.Header = header;
        frame.HeaderLength = Field.UdpHeader;
        frame.Payload = pieces;
        frame.PayloadCount = count;
        frame.PayloadLength = length;
        _stack.Counters.DatagramsOut++;
        return _stack.SendIp(s->Local, to, Protocol.Udp, tos, ttl, mayFragment: !s->DontFragment, Field.UdpChecksum, ref frame);
    }

    /// <summary>The MTU of the path to a connected socket's peer.</summary>
    public uint MtuOf(UdpSocket* s) => _stack.MtuTo(s->Remote);

    /// <summary>Removes the oldest datagram.</summary>
    public static void Pop(UdpSocket* s)
    {
        UdpItem* item = s->First;
        uint charge = (uint)sizeof(UdpItem) + item->Length;
        s->Queued -= charge;
        s->Budget->Queued -= charge;
        s->First = item->Next;
        NativeMemory.Free(item);
    }

    /// <summary>Removes the oldest error record.</summary>
    public static void PopError(UdpSocket* s)
    {
        UdpItem* item = s->FirstError;
        s->ErrorCount--;
        s->FirstError = item->Next;
        NativeMemory.Free(item);
    }

    private static void Empty(UdpSocket* s)
    {
        while (s->First != null)
        {
            Pop(s);
        }

        while (s->FirstError != null)
        {
            PopError(s);
        }
    }

    private bool IsTaken(in Address local, ushort port, bool reuseAddress, bool reusePort)
    {
        for (UdpSocket* s = *BucketOf(local, port); s != null; s = s->Next)
        {
            if (s->LocalPort == port && s->Local == local && !(reuseAddress && s->ReuseAddress) && !(reusePort && s->ReusePort))
            {
                return true;
            }
        }

        return false;
    }
}
