using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Options of datagram sockets. As with streams the kernel socket checks and stores them (and acts on them for loopback), and the NSM hears of what matters there: what it refuses
/// is refused. What neither honours is ENOPROTOOPT: multicast membership, corking and segmentation offload among it.
/// </summary>
internal static unsafe class DatagramOptions
{
    private const int Forwarded = 24, Timestamps = 5, Priority = 2; // of the priorities, those that need rights are refused

    /// <summary>Bits of <see cref="SocketSlot.OptionMask"/>: the program has said something about fragmentation (QUIC, path MTU probes).</summary>
    internal const uint Fragmentation = (1u << 8) | (1u << 17) | (1u << 23);

    /// <summary>Level and name of a forwarded option by its bit in <see cref="SocketSlot.OptionMask"/>.</summary>
    private static bool TryForwarded(int index, out int level, out int name)
    {
        level = index < 6 ? Abi.SOL_SOCKET : index < 15 ? Abi.IPPROTO_IP : Abi.IPPROTO_IPV6;
        name = index switch
        {
            0 => Abi.SO_RCVBUF,
            1 => Abi.SO_SNDBUF,
            Priority => Abi.SO_PRIORITY,
            3 => Abi.SO_BROADCAST,
            4 => Abi.SO_NO_CHECK,
            Timestamps => Abi.SO_TIMESTAMPNS,
            6 => Abi.IP_TOS,
            7 => Abi.IP_TTL,
            8 => Abi.IP_MTU_DISCOVER,
            9 => Abi.IP_RECVERR,
            10 => Abi.IP_RECVTOS,
            11 => Abi.IP_RECVTTL,
            12 => Abi.IP_PKTINFO,
            13 => Abi.IP_MULTICAST_TTL,
            14 => Abi.IP_MULTICAST_LOOP,
            15 => Abi.IPV6_UNICAST_HOPS,
            16 => Abi.IPV6_TCLASS,
            17 => Abi.IPV6_MTU_DISCOVER,
            18 => Abi.IPV6_RECVERR,
            19 => Abi.IPV6_RECVPKTINFO,
            20 => Abi.IPV6_RECVHOPLIMIT,
            21 => Abi.IPV6_RECVTCLASS,
            22 => Abi.IPV6_MULTICAST_HOPS,
            23 => Abi.IPV6_DONTFRAG,
            _ => 0,
        };
        return (uint)index < Forwarded;
    }

    private static int IndexOf(int level, int name)
    {
        if (level == Abi.SOL_SOCKET && name == Abi.SO_TIMESTAMP)
        {
            return Timestamps; // the NSM stamps in nanoseconds, whoever asks
        }

        for (int i = 0; i < Forwarded; i++)
        {
            if (TryForwarded(i, out int l, out int n) && l == level && n == name)
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>Kept by the kernel socket or by this library alone, or without any effect on datagrams in the kernel too.</summary>
    private static bool IsLocal(int level, int name) =>
        (level == Abi.SOL_SOCKET && name is Abi.SO_REUSEADDR or Abi.SO_REUSEPORT or Abi.SO_RCVTIMEO or Abi.SO_SNDTIMEO or Abi.SO_KEEPALIVE or Abi.SO_LINGER
            or Abi.SO_RCVLOWAT)
        || (level == Abi.IPPROTO_IPV6 && name == Abi.IPV6_V6ONLY);

    private static uint WantedBy(int level, int name) => level switch
    {
        Abi.SOL_SOCKET => name == Abi.SO_TIMESTAMP ? ControlMessages.WantsTime : name == Abi.SO_TIMESTAMPNS ? ControlMessages.WantsTimeNs : 0,
        Abi.IPPROTO_IP => name switch
        {
            Abi.IP_PKTINFO => ControlMessages.WantsAddress4,
            Abi.IP_RECVTOS => ControlMessages.WantsTos,
            Abi.IP_RECVTTL => ControlMessages.WantsTtl,
            _ => 0,
        },
        _ => name switch
        {
            Abi.IPV6_RECVPKTINFO => ControlMessages.WantsAddress6,
            Abi.IPV6_RECVTCLASS => ControlMessages.WantsClass,
            Abi.IPV6_RECVHOPLIMIT => ControlMessages.WantsHops,
            _ => 0,
        },
    };

    /// <summary>Makes a SetOption of an option that the kernel socket has stored.</summary>
    internal static bool TryStored(int fd, int index, Nqe* element)
    {
        ulong value = 0;
        uint length = 4;
        if (!TryForwarded(index, out int level, out int name))
        {
            return false;
        }

        if (index == Timestamps)
        {
            value = Options.IsOn(fd, level, Abi.SO_TIMESTAMP) || Options.IsOn(fd, level, Abi.SO_TIMESTAMPNS) ? 1u : 0;
        }
        else if (Real.getsockopt(fd, level, name, &value, &length) != 0)
        {
            return false;
        }

        if (name is Abi.SO_SNDBUF or Abi.SO_RCVBUF && level == Abi.SOL_SOCKET)
        {
            value /= 2; // socket(7): the kernel doubles what is set, and will do so again in the NSM
        }

        Options.Fill(element, level, name, value, length);
        return true;
    }

    internal static int Set(int fd, SocketSlot* s, int level, int name, void* value, uint length)
    {
        int index = IndexOf(level, name);
        if (index < 0 && !IsLocal(level, name))
        {
            return Libc.Fail(Abi.ENOPROTOOPT);
        }

        OldValue old = index >= 0 ? OldValue.Of(fd, level, name) : default;
        if (Real.setsockopt(fd, level, name, value, length) != 0)
        {
            return -1;
        }

        if (index >= 0)
        {
            int error = Tell(fd, s, index);
            if (error != 0)
            {
                old.Restore(fd, level, name);
                return Libc.Fail(error);
            }
        }

        uint wanted = WantedBy(level, name);
        if (wanted != 0)
        {
            // The kernel keeps one kind of time stamp: the last that was asked for.
            wanted |= name is Abi.SO_TIMESTAMP or Abi.SO_TIMESTAMPNS ? ControlMessages.WantsTime | ControlMessages.WantsTimeNs : 0;
            uint on = Options.IsOn(fd, level, name) ? WantedBy(level, name) : 0;
            s->Wanted = (s->Wanted & ~wanted) | on;
        }

        if (index < 0)
        {
            if (name is Abi.SO_RCVTIMEO or Abi.SO_SNDTIMEO)
            {
                Interlocked.Or(ref s->Status, Status.HasTimeouts);
            }

            return 0;
        }

        Interlocked.Or(ref s->OptionMask, 1ul << index);
        if (level == Abi.SOL_SOCKET && name == Abi.SO_SNDBUF)
        {
            int bytes = 0;
            uint size = 4;
            _ = Real.getsockopt(fd, level, name, &bytes, &size);
            s->TxLimit = bytes < 4096 ? 4096u : bytes > (int)Sending.MostLimit ? Sending.MostLimit : (uint)bytes;
        }

        return 0;
    }

    /// <summary>
    /// Tells the NSM of an option that the kernel socket has taken. The first time that a guest sets it the answer is waited for: an errno, if the NSM does not have it. While there is
    /// no NSM nobody can say whether the next one has.
    /// </summary>
    private static int Tell(int fd, SocketSlot* s, int index)
    {
        Nqe element = default;
        if (!TryStored(fd, index, &element))
        {
            return Abi.ENOPROTOOPT;
        }

        element.Socket = Fds.IdOf(fd);
        if (index == Priority || !Options.IsTaken(ref Region.Header->DatagramOptionsTaken, index))
        {
            int error = Options.SetAndWait(fd, s, &element);
            if (error == 0)
            {
                Options.Take(ref Region.Header->DatagramOptionsTaken, index);
            }

            return error;
        }

        if ((Volatile.Read(ref s->Status) & SocketStatus.Known) != 0)
        {
            _ = Rings.Send(s, &element, 1);
        }

        return 0;
    }

    /// <summary>What the kernel socket had before, for an option that the NSM then refuses.</summary>
    private struct OldValue
    {
        private int _value;
        private bool _known;

        internal static OldValue Of(int fd, int level, int name)
        {
            OldValue old = default;
            uint length = sizeof(int);
            old._known = Real.getsockopt(fd, level, name, &old._value, &length) == 0;
            old._value = level == Abi.SOL_SOCKET && name is Abi.SO_SNDBUF or Abi.SO_RCVBUF ? old._value / 2 : old._value; // socket(7): doubled
            return old;
        }

        internal void Restore(int fd, int level, int name)
        {
            int value = _value;
            _ = _known ? Real.setsockopt(fd, level, name, &value, sizeof(int)) : 0;
        }
    }

    internal static int Get(int fd, SocketSlot* s, int level, int name, void* value, uint* length)
    {
        if (value == null || length == null)
        {
            return Real.getsockopt(fd, level, name, value, length);
        }

        uint status = Volatile.Read(ref s->Status);
        if (level == Abi.SOL_SOCKET && name == Abi.SO_ERROR)
        {
            _ = Draining.Of(s->QueueSet);
            int error = Interlocked.Exchange(ref s->Error, 0);
            return error == 0 ? Real.getsockopt(fd, level, name, value, length) : Options.Put(value, length, error);
        }

        return (status & SocketStatus.Connected) != 0 && ((level == Abi.IPPROTO_IP && name == Abi.IP_MTU) || (level == Abi.IPPROTO_IPV6 && name == Abi.IPV6_MTU))
            ? Options.Ask(s, Fds.IdOf(fd), level, name, value, length)
            : Real.getsockopt(fd, level, name, value, length); // everything else the kernel socket knows, or was never set
    }
}
