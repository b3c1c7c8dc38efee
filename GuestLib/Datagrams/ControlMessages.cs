using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>Control messages of datagrams (cmsg(3), ip(7), ipv6(7)), written and read as the kernel does.</summary>
internal static unsafe class ControlMessages
{
    // What a program wants to be told: SocketSlot.Wanted.
    internal const uint WantsAddress4 = 1, WantsAddress6 = 2, WantsTos = 4, WantsClass = 8, WantsTtl = 16, WantsHops = 32, WantsTime = 64, WantsTimeNs = 128;

    /// <summary>Of streams: TCP_INQ.</summary>
    internal const uint WantsInQueue = 256;

    private const uint HeaderBytes = 16;

    /// <summary>Index of lo, the one interface of a guest, on which its addresses lie.</summary>
    private const int Loopback = 1;

    /// <summary>Takes the control messages of a send into the header. 0, or an errno.</summary>
    internal static int Read(SocketSlot* s, MsgHdr* message, bool v4, DatagramHeader* header)
    {
        byte* control = (byte*)message->Control;
        nuint bytes = message->ControlLength;
        if (control == null || bytes < HeaderBytes)
        {
            return 0;
        }

        for (nuint at = 0; at + HeaderBytes <= bytes;)
        {
            nuint length = *(nuint*)(control + at);
            if (length < HeaderBytes || length > bytes - at)
            {
                return Abi.EINVAL;
            }

            int error = One(*(int*)(control + at + 8), *(int*)(control + at + 12), control + at + HeaderBytes, (uint)(length - HeaderBytes), s, v4, header);
            if (error != 0)
            {
                return error;
            }

            at += (length + 7) & ~(nuint)7;
        }

        return 0;
    }

    private static int One(int level, int type, byte* data, uint length, SocketSlot* s, bool v4, DatagramHeader* header)
    {
        if (level == Abi.SOL_SOCKET)
        {
            return type is 1 or 2 ? 0 : Abi.EINVAL; // SCM_RIGHTS and SCM_CREDENTIALS mean nothing to a datagram, and are let pass (sock_cmsg_send)
        }

        if (level == Abi.IPPROTO_UDP)
        {
            return Abi.EINVAL; // UDP_SEGMENT
        }

        bool own = v4 ? level == Abi.IPPROTO_IP : level == Abi.IPPROTO_IPV6;
        if (!own)
        {
            return v4 && level == Abi.IPPROTO_IPV6 && type == Abi.IPV6_PKTINFO && s->Domain == Abi.AF_INET6 ? Source6(data, length, v4, header) : 0;
        }

        switch (type)
        {
            case Abi.IP_PKTINFO when v4:
                return length != 12 ? Abi.EINVAL : Source(header, *(int*)data, 0, *(uint*)(data + 4) == 0 ? 0 : Addresses.Map(*(uint*)(data + 4)));
            case Abi.IPV6_PKTINFO when !v4:
                return Source6(data, length, v4, header);
            case Abi.IP_TOS when v4:
                return length == 1 ? Tos(header, *data) : length == 4 ? Tos(header, *(int*)data) : Abi.EINVAL;
            case Abi.IPV6_TCLASS when !v4:
                return length != 4 ? Abi.EINVAL : *(int*)data == -1 ? 0 : Tos(header, *(int*)data);
            case Abi.IP_TTL when v4:
                return length != 4 || *(int*)data is < 1 or > 255 ? Abi.EINVAL : Ttl(header, *(int*)data);
            case Abi.IPV6_HOPLIMIT when !v4:
                return length != 4 || *(int*)data is < -1 or > 255 ? Abi.EINVAL : *(int*)data == -1 ? 0 : Ttl(header, *(int*)data);
            default:
                return Abi.EINVAL;
        }
    }

    private static int Tos(DatagramHeader* header, int value)
    {
        if (value is < 0 or > 255)
        {
            return Abi.EINVAL;
        }

        header->Tos = (byte)value;
        header->Fields |= DatagramFields.Tos;
        return 0;
    }

    private static int Ttl(DatagramHeader* header, int value)
    {
        header->Ttl = (byte)value;
        header->Fields |= DatagramFields.Ttl;
        return 0;
    }

    private static int Source6(byte* data, uint length, bool v4, DatagramHeader* header)
    {
        if (length < 20)
        {
            return Abi.EINVAL;
        }

        ulong low = *(ulong*)data;
        ulong high = *(ulong*)(data + 8);
        return v4 && !Addresses.IsMapped(low, high) && (low | high) != 0 ? Abi.EINVAL : Source(header, *(int*)(data + 16), low, high);
    }

    /// <summary>The address to send from must be the guest's; its interface is lo.</summary>
    private static int Source(DatagramHeader* header, int index, ulong low, ulong high)
    {
        if (index is not (0 or Loopback) && !Region.IsHostMode)
        {
            return Abi.ENODEV;
        }

        if (Addresses.IsWildcard(low, high))
        {
            return 0;
        }

        if (!Region.IsHostMode && !Region.IsOwnAddress(low, high))
        {
            return Addresses.IsMapped(low, high) ? Abi.ENETUNREACH : Abi.EINVAL; // as the kernel says of an address that it does not have
        }

        header->LocalLow = low;
        header->LocalHigh = high;
        header->Fields |= DatagramFields.Local;
        return 0;
    }

    /// <summary>Writes what the program wants to be told of a datagram; MSG_CTRUNC when it has no room for it.</summary>
    internal static void Write(SocketSlot* s, DatagramHeader* header, MsgHdr* message)
    {
        uint wanted = s->Wanted;
        Room room = Room.Of(message);
        byte* data = stackalloc byte[20];
        if ((wanted & (WantsTime | WantsTimeNs)) != 0)
        {
            Time(ref room, header, (wanted & WantsTimeNs) != 0, data);
        }

        bool v4 = Addresses.IsMapped(header->PeerLow, header->PeerHigh);
        if ((wanted & WantsAddress6) != 0 && s->Domain == Abi.AF_INET6)
        {
            *(ulong*)data = header->LocalLow;
            *(ulong*)(data + 8) = header->LocalHigh;
            *(int*)(data + 16) = Loopback;
            room.Put(Abi.IPPROTO_IPV6, Abi.IPV6_PKTINFO, data, 20);
        }

        if (v4 && (wanted & WantsAddress4) != 0)
        {
            *(int*)data = Loopback; // struct in_pktinfo
            *(uint*)(data + 4) = *(uint*)(data + 8) = (uint)(header->LocalHigh >> 32);
            room.Put(Abi.IPPROTO_IP, Abi.IP_PKTINFO, data, 12);
        }

        if ((wanted & (v4 ? WantsTtl : WantsHops)) != 0 && (header->Fields & DatagramFields.Ttl) != 0)
        {
            *(int*)data = header->Ttl;
            room.Put(v4 ? Abi.IPPROTO_IP : Abi.IPPROTO_IPV6, v4 ? Abi.IP_TTL : Abi.IPV6_HOPLIMIT, data, 4);
        }

        if ((wanted & (v4 ? WantsTos : WantsClass)) != 0 && (header->Fields & DatagramFields.Tos) != 0)
        {
            *(int*)data = header->Tos;
            room.Put(v4 ? Abi.IPPROTO_IP : Abi.IPPROTO_IPV6, v4 ? Abi.IP_TOS : Abi.IPV6_TCLASS, data, v4 ? 1u : 4u);
        }

        message->Flags |= room.Flags;
        message->ControlLength = (nuint)(room.At - (byte*)message->Control);
    }

    /// <summary>TCP_CM_INQ of a stream (tcp(7)): how much is left to be read; the end counts as one more (tcp_inq_hint).</summary>
    internal static void WriteInQueue(SocketSlot* s, MsgHdr* message)
    {
        int left = Receiving.Available(s);
        left += (Volatile.Read(ref s->Status) & SocketStatus.PeerClosed) != 0 ? 1 : 0;
        Room room = Room.Of(message);
        room.Put(Abi.IPPROTO_TCP, Abi.TCP_INQ, (byte*)&left, sizeof(int));
        message->Flags |= room.Flags;
        message->ControlLength = (nuint)(room.At - (byte*)message->Control);
    }

    private static void Time(ref Room room, DatagramHeader* header, bool nanoseconds, byte* data)
    {
        ulong time = header->Timestamp;
        if ((header->Fields & DatagramFields.Timestamp) == 0)
        {
            TimeSpec now;
            _ = Libc.clock_gettime(0, &now); // it came before the program asked: as the kernel, the time of reading
            time = ((ulong)now.Seconds * 1_000_000_000) + (ulong)now.Nanoseconds;
        }

        *(ulong*)data = time / 1_000_000_000;
        *(ulong*)(data + 8) = nanoseconds ? time % 1_000_000_000 : time % 1_000_000_000 / 1000;
        room.Put(Abi.SOL_SOCKET, nanoseconds ? Abi.SO_TIMESTAMPNS : Abi.SO_TIMESTAMP, data, 16);
    }

    /// <summary>A program's control buffer, filled from the start: the kernel's put_cmsg.</summary>
    internal ref struct Room
    {
        internal byte* At;
        internal nuint Left;
        internal int Flags;

        /// <summary>The control buffer of a message; one that cannot be written has no room.</summary>
        internal static Room Of(MsgHdr* message) => new()
        {
            At = (byte*)message->Control,
            Left = message->Control != null && UserMemory.CanWrite(message->Control, message->ControlLength) ? message->ControlLength : 0,
        };

        internal void Put(int level, int type, byte* data, uint length)
        {
            if (Left < HeaderBytes)
            {
                Flags |= Abi.MSG_CTRUNC;
                return;
            }

            nuint bytes = HeaderBytes + length;
            if (Left < bytes)
            {
                Flags |= Abi.MSG_CTRUNC;
                bytes = Left;
            }

            *(nuint*)At = bytes;
            *(int*)(At + 8) = level;
            *(int*)(At + 12) = type;
            _ = Libc.memmove(At + HeaderBytes, data, bytes - HeaderBytes);
            nuint space = (HeaderBytes + length + 7) & ~(nuint)7;
            space = space < Left ? space : Left;
            At += space;
            Left -= space;
        }
    }
}
