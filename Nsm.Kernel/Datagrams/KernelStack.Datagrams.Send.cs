using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

/// <content>Datagrams out: several per system call, payload straight from the TX pool.</content>
internal sealed unsafe partial class KernelStack
{
    private const uint DatagramBatch = 16;

    /// <summary>Room for the control messages of one datagram out: address, TOS and TTL.</summary>
    private const int SendControlBytes = 96;

    private readonly MMsgHdr* _outMessages = (MMsgHdr*)NativeMemory.AllocZeroed(DatagramBatch, (nuint)sizeof(MMsgHdr));
    private readonly Libc.IoVec* _outVectors = (Libc.IoVec*)NativeMemory.AllocZeroed(2 * DatagramBatch, (nuint)sizeof(Libc.IoVec));
    private readonly SockAddr* _outNames = (SockAddr*)NativeMemory.AllocZeroed(DatagramBatch, (nuint)sizeof(SockAddr));
    private readonly byte* _outControl = (byte*)NativeMemory.AllocZeroed(DatagramBatch, SendControlBytes);
    private readonly uint* _outSends = (uint*)NativeMemory.AllocZeroed(DatagramBatch, sizeof(uint));

    private void FlushDatagrams(Connection* c, KernelSocket* s)
    {
        int suspect = 0; // what the last call said: an error of the datagram at the head, or one that waited in the socket
        for (int calls = 0; c->SendCount != 0 && s->Has(KernelFlags.Writable); calls++)
        {
            if (calls == SendCalls)
            {
                _host.Schedule(c);
                return;
            }

            uint count = Collect(c, s, suspect != 0 ? 1 : DatagramBatch, out int fd);
            if (count == 0)
            {
                if (!_host.TryReadDatagram(c, 0, out _))
                {
                    return; // The second half of the first one has not come yet.
                }

                continue;
            }

            int sent = Sys.SendMMsg(fd, _outMessages, count, Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL);
            if (sent > 0)
            {
                for (int i = 0; i < sent; i++)
                {
                    _host.DatagramDone(c, _outSends[i], 0);
                }

                if (suspect != 0)
                {
                    _host.Error(c, suspect, s->Has(KernelFlags.ErrorQueue));
                    suspect = 0;
                }
            }
            else if (sent == -Libc.EAGAIN)
            {
                s->Clear(KernelFlags.Writable); // EPOLLOUT follows.
            }
            else if (sent != -Libc.EINTR)
            {
                // A waiting error (ICMP) is given to the next call whatever that wants. Tried once more, the datagram goes, or its own error shows.
                if (suspect == 0 && (s->Phase == Phase.Connected || s->Has(KernelFlags.ErrorQueue)))
                {
                    suspect = -sent;
                    continue;
                }

                if (suspect != 0 && suspect != -sent)
                {
                    _host.Error(c, suspect, s->Has(KernelFlags.ErrorQueue));
                }

                suspect = 0;
                _host.DatagramDone(c, *_outSends, -sent);
            }
        }

        if (suspect != 0)
        {
            _host.Error(c, suspect, s->Has(KernelFlags.ErrorQueue));
        }
    }

    /// <summary>Prepares a system call for the datagrams at the head of the queue that go out by one kernel socket; those that cannot are failed. Returns how many.</summary>
    private uint Collect(Connection* c, KernelSocket* s, uint most, out int fd)
    {
        fd = -1;
        uint n = 0;
        uint at = 0;
        while (n < most && _host.TryReadDatagram(c, at, out Datagram datagram))
        {
            int target = (s->Flags & KernelFlags.Peer4) != 0 ? s->Fd4 : s->Fd;
            bool named = (datagram.Header.Fields & DatagramFields.Peer) != 0;
            Endpoint peer = Endpoint.V6(datagram.Header.PeerLow, datagram.Header.PeerHigh, datagram.Header.PeerPort);
            int error = datagram.Error != 0 ? datagram.Error
                : named ? Half(c, s, in peer, out target)
                : s->Phase == Phase.Connected ? 0 : Sys.EDESTADDRREQ;
            error = error != 0 ? error : Watch(c, s);
            MMsgHdr* message = &_outMessages[n];
            if (error == 0)
            {
                error = PutControl(c, s, target, in datagram.Header, _outControl + (n * SendControlBytes), out uint length);
                message->Header.Control = length == 0 ? null : _outControl + (n * SendControlBytes);
                message->Header.ControlLength = length;
            }

            if (error != 0)
            {
                if (n == 0)
                {
                    _host.DatagramDone(c, datagram.Sends, error);
                }

                return n;
            }

            if (n != 0 && target != fd)
            {
                return n;
            }

            fd = target;
            _outNames[n] = SockAddr.For(FamilyOf(s, fd), in peer);
            message->Header.Name = named ? &_outNames[n] : null;
            message->Header.NameLength = named ? _outNames[n].Length : 0;
            Libc.IoVec* vectors = &_outVectors[2 * n];
            vectors[0] = datagram.First;
            vectors[1] = datagram.Second;
            message->Header.Iov = vectors;
            message->Header.IovLength = datagram.Sends;
            _outSends[n++] = datagram.Sends;
            at += datagram.Sends;
        }

        return n;
    }

    private int PutControl(Connection* c, KernelSocket* s, int fd, in DatagramHeader header, byte* control, out uint length)
    {
        length = 0;
        bool v4 = FamilyOf(s, fd) == Libc.AF_INET;
        if ((header.Fields & DatagramFields.Local) != 0)
        {
            Endpoint local = Endpoint.V6(header.LocalLow, header.LocalHigh, 0);
            if (_settings.IsBridge)
            {
                // The kernel socket has the guest's address already; any other is not the guest's to use.
                Guest guest = _host.GuestOf(c);
                Endpoint own = v4 ? Endpoint.V4(guest.Address4, 0) : Endpoint.V6(guest.Address6Low, guest.Address6High, 0);
                if (!own.SameAddress(in local))
                {
                    return Libc.EINVAL; // As the kernel says of an address that is not local.
                }
            }
            else if (v4 && local.IsIPv4)
            {
                ulong* info = (ulong*)Cmsg(control, ref length, Sys.IPPROTO_IP, Sys.IP_PKTINFO, 12);
                info[0] = (ulong)local.Address4 << 32; // struct in_pktinfo: interface, source, nothing
                *(uint*)(info + 1) = 0;
            }
            else
            {
                ulong* info = (ulong*)Cmsg(control, ref length, Sys.IPPROTO_IPV6, Sys.IPV6_PKTINFO, 20);
                info[0] = local.Low;
                info[1] = local.High;
                *(uint*)(info + 2) = 0;
            }
        }

        if ((header.Fields & DatagramFields.Tos) != 0)
        {
            *(int*)Cmsg(control, ref length, v4 ? Sys.IPPROTO_IP : Sys.IPPROTO_IPV6, v4 ? Sys.IP_TOS : Sys.IPV6_TCLASS, sizeof(int)) = header.Tos;
        }

        if ((header.Fields & DatagramFields.Ttl) != 0)
        {
            *(int*)Cmsg(control, ref length, v4 ? Sys.IPPROTO_IP : Sys.IPPROTO_IPV6, v4 ? Sys.IP_TTL : Sys.IPV6_HOPLIMIT, sizeof(int)) = header.Ttl;
        }

        return 0;
    }

    /// <summary>Begins a control message (cmsg(3)) and returns where its data goes.</summary>
    private static byte* Cmsg(byte* control, ref uint length, int level, int type, uint bytes)
    {
        byte* at = control + length;
        *(nuint*)at = 16 + bytes;
        *(int*)(at + 8) = level;
        *(int*)(at + 12) = type;
        length += 16 + ((bytes + 7) & ~7u);
        return at + 16;
    }
}
