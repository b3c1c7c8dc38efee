using System.ComponentModel;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Network;

/// <summary>Frames that pass the interfaces of a network namespace (packet(7)), with what the offloads have left undone in them (PACKET_VNET_HDR).</summary>
internal sealed unsafe class PacketTap : IDisposable
{
    private const int AF_PACKET = 17, SOCK_RAW = 3, SOL_PACKET = 263, PACKET_STATISTICS = 6, PACKET_VNET_HDR = 15, ETH_P_ALL = 3, PACKET_OUTGOING = 4;
    private const int SO_ATTACH_FILTER = 26, SO_TIMESTAMPNS = 35, SO_RCVBUFFORCE = 33, SO_RCVTIMEO = 20, LoopbackIndex = 1;
    private const int BufferBytes = 65_536 + 256, ControlBytes = 64, AddressBytes = 20, VnetBytes = 10, SocketBuffer = 16 << 20, PatienceMicroseconds = 100_000;
    private readonly byte[] _buffer = new byte[BufferBytes];
    private readonly int _fd;
    private ulong _dropped;

    private PacketTap(int fd) => _fd = fd;

    /// <summary>Frames that the kernel had no room for, since the beginning.</summary>
    public ulong Dropped
    {
        get
        {
            uint* statistics = stackalloc uint[2]; // struct tpacket_stats: packets, drops; reading resets them
            uint length = 8;
            _dropped += Libc.GetSockOpt(_fd, SOL_PACKET, PACKET_STATISTICS, statistics, &length) == 0 ? statistics[1] : 0;
            return _dropped;
        }
    }

    /// <summary>Begins to listen in a namespace, to one interface or (null) to all.</summary>
    /// <exception cref="InvalidOperationException">It cannot be entered, or privileges are missing.</exception>
    public static PacketTap Open(string namespacePath, string? device, PacketFilter.Instruction[] filter) => NetworkNamespace.Inside(namespacePath, () => Open(device, filter));

    /// <summary>One frame; false when none came within a tenth of a second.</summary>
    public bool TryTake(out CaptureFrame frame)
    {
        frame = default;
        byte* control = stackalloc byte[ControlBytes];
        byte* address = stackalloc byte[AddressBytes];
        fixed (byte* p = _buffer)
        {
        again:
            var piece = new Libc.IoVec { Base = p, Length = BufferBytes };
            var message = new Libc.MsgHdr { Name = address, NameLength = AddressBytes, Iov = &piece, IovLength = 1, Control = control, ControlLength = ControlBytes };
            nint got = Libc.RecvMsg(_fd, &message, 0);
            if (got <= VnetBytes)
            {
                return got >= 0 || Libc.Errno is Libc.EAGAIN or Libc.EINTR ? false : throw new Win32Exception(Libc.Errno, "AF_PACKET: " + Libc.Describe(Libc.Errno));
            }

            // struct sockaddr_ll: family, protocol, interface, hardware type, packet type. What goes over lo is seen twice: going out and coming in.
            if (*(int*)(address + 4) == LoopbackIndex && address[10] == PACKET_OUTGOING)
            {
                goto again;
            }

            const byte NeedsChecksum = 1;
            bool unfinished = (p[0] & NeedsChecksum) != 0;
            frame = new CaptureFrame(
                TimeOf(in message), p[1] != 0 ? *(ushort*)(p + 4) : 0u, unfinished ? *(ushort*)(p + 6) : 0u, unfinished ? *(ushort*)(p + 8) : 0u,
                _buffer.AsMemory(VnetBytes, (int)got - VnetBytes));
            return true;
        }
    }

    public void Dispose() => _ = Libc.Close(_fd);

    private static PacketTap Open(string? device, PacketFilter.Instruction[] filter)
    {
        // Protocol 0: nothing arrives before the filter is there.
        int fd = Libc.Socket(AF_PACKET, SOCK_RAW | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw new Win32Exception(Libc.Errno, "AF_PACKET: " + Libc.Describe(Libc.Errno));
        }

        var tap = new PacketTap(fd);
        try
        {
            fixed (PacketFilter.Instruction* code = filter)
            {
                byte* program = stackalloc byte[16]; // struct sock_fprog
                *(ulong*)program = (ulong)filter.Length;
                *(PacketFilter.Instruction**)(program + 8) = code;
                Set(fd, Libc.SOL_SOCKET, SO_ATTACH_FILTER, program, 16);
            }

            int one = 1, bytes = SocketBuffer;
            long* patience = stackalloc long[] { 0, PatienceMicroseconds };
            Set(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(int));
            Set(fd, Libc.SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(int));
            Set(fd, Libc.SOL_SOCKET, SO_RCVTIMEO, patience, 16);
            Set(fd, Libc.SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(int));
            byte* address = stackalloc byte[AddressBytes];
            new Span<byte>(address, AddressBytes).Clear();
            *(ushort*)address = AF_PACKET;
            address[3] = ETH_P_ALL; // all interfaces: eth0, and lo, over which guests of one kernel talk
            *(uint*)(address + 4) = device is null ? 0 : IndexOf(device);
            return Libc.Bind(fd, address, AddressBytes) == 0 ? tap : throw new Win32Exception(Libc.Errno, "AF_PACKET: " + Libc.Describe(Libc.Errno));
        }
        catch
        {
            tap.Dispose();
            throw;
        }
    }

    private static uint IndexOf(string device) =>
        NameToIndex(device) is > 0 and uint index ? index : throw new Win32Exception(Libc.Errno, $"interface {device}: {Libc.Describe(Libc.Errno)}");

    [DllImport("libc", EntryPoint = "if_nametoindex", SetLastError = true)]
    private static extern uint NameToIndex([MarshalAs(UnmanagedType.LPUTF8Str)] string name);

    private static void Set(int fd, int level, int name, void* value, uint length)
    {
        if (Libc.SetSockOpt(fd, level, name, value, length) != 0)
        {
            throw new Win32Exception(Libc.Errno, $"AF_PACKET option {name}: {Libc.Describe(Libc.Errno)}");
        }
    }

    private static long TimeOf(in Libc.MsgHdr message)
    {
        byte* p = (byte*)message.Control; // struct cmsghdr: length, level, type; then struct timespec
        return message.ControlLength >= 32 && *(int*)(p + 8) == Libc.SOL_SOCKET && *(int*)(p + 12) == SO_TIMESTAMPNS
            ? (*(long*)(p + 16) * 1_000_000_000) + *(long*)(p + 24)
            : (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100;
    }
}

/// <summary>A frame that was seen; <paramref name="Data"/> holds until the next one is taken.</summary>
internal readonly record struct CaptureFrame(long Nanoseconds, uint GsoSize, uint ChecksumStart, uint ChecksumOffset, ReadOnlyMemory<byte> Data);
