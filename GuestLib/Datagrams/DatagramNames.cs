using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>bind(2), connect(2), getsockname(2), getpeername(2) of datagram sockets.</summary>
internal static unsafe class DatagramNames
{
    /// <summary>Ports tried until one is free both in the guest and at the NSM.</summary>
    private const int PortTries = 16;

    internal static int Bind(int fd, SocketSlot* s, byte* address, uint length)
    {
        int error = Addresses.Parse(address, length, s->Domain, out ulong low, out ulong high, out ushort port);
        bool wildcard = Addresses.IsWildcard(low, high);
        bool loopback = !wildcard && Addresses.IsLoopback(low, high);
        bool foreign = error == 0 && !wildcard && !loopback && !Region.IsHostMode && !Region.IsOwnAddress(low, high);
        bool named = error == 0 && (s->Status & (SocketStatus.Bound | SocketStatus.Connected)) != 0;
        if (foreign && !(named && s->Domain == Abi.AF_INET6))
        {
            return Libc.Fail(Abi.EADDRNOTAVAIL); // looked at before the socket's state by __inet_bind, and after it by __inet6_bind
        }

        if (named)
        {
            return Libc.Fail(Abi.EINVAL);
        }

        if (error != 0 || NativePort(fd) != 0 || loopback)
        {
            // Loopback, or an error: the guest's own kernel decides. What is bound to loopback can reach nothing else.
            int result = Real.bind(fd, address, length);
            if (result == 0)
            {
                Opening.BecomeNative(fd, s);
            }

            return result;
        }

        error = BindBoth(fd, s, low, high, port, wildcard);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>A socket that sends without having been bound gets a port, the same on both halves. 0, or an errno.</summary>
    internal static int EnsureBound(int fd, SocketSlot* s)
    {
        if ((Volatile.Read(ref s->Status) & (SocketStatus.Bound | SocketStatus.Connected)) != 0)
        {
            return 0;
        }

        // A datagram to loopback may have given the kernel socket its port.
        ushort port = Region.IsHostMode ? (ushort)0 : NativePort(fd);
        return BindBoth(fd, s, 0, s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0, port, wildcard: true, chosen: false);
    }

    private static int BindBoth(int fd, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard, bool chosen = true)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Abi.EAGAIN;
        }

        if ((Volatile.Read(ref s->Status) & SocketStatus.Bound) != 0)
        {
            Locks.Leave(ref s->ControlLock);
            return chosen ? Abi.EINVAL : 0; // another thread was faster
        }

        uint bits = SocketStatus.Bound | Status.ExplicitBound | (wildcard ? SocketStatus.WildcardBound : 0)
            | (chosen && port != 0 ? Datagrams.KeepsPort : 0) | (Region.IsHostMode ? 0 : SocketStatus.NativeBound);
        int error = Region.IsHostMode ? AtNsm(fd, s, low, high, port, wildcard)
            : chosen && port != 0 ? BindPort(fd, s, low, high, port, wildcard) : BindAny(fd, s, low, high, port, wildcard);
        if (error == 0)
        {
            Interlocked.Or(ref s->Status, bits);
        }

        Locks.Leave(ref s->ControlLock);
        if (error == 0)
        {
            Epoll.WatchNativeHalf(fd, Fds.IdOf(fd));
        }

        return error;
    }

    /// <summary>A port of the program's choice: the NSM first, since it cannot fail any more once the kernel socket has it. What the guest's kernel refuses the NSM gives back.</summary>
    private static int BindPort(int fd, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard)
    {
        int error = AtNsm(fd, s, low, high, port, wildcard);
        if (error != 0 || BindNative(fd, s, low, high, port) == 0)
        {
            return error;
        }

        error = Libc.Errno;
        _ = Dissolve(fd, s);
        s->LocalPort = 0;
        DatagramReceiving.DropAll(fd, s); // what came in between
        return error;
    }

    /// <summary>A port that the guest's kernel chooses, and the NSM takes too.</summary>
    private static int BindAny(int fd, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard)
    {
        for (int tries = 0; ; tries++)
        {
            if (port == 0 && BindNative(fd, s, low, high, 0) != 0)
            {
                return Libc.Errno;
            }

            port = NativePort(fd);
            int error = AtNsm(fd, s, low, high, port, wildcard);
            if (error != Abi.EADDRINUSE || tries == PortTries)
            {
                return error;
            }

            Unbind(fd);
            port = 0;
        }
    }

    private static int AtNsm(int fd, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard) => BindAtNsm(fd, Fds.IdOf(fd), s, low, high, port, wildcard);

    /// <summary>Binds at the NSM; the caller holds the ControlLock.</summary>
    internal static int BindAtNsm(int fd, uint id, SocketSlot* s, ulong low, ulong high, ushort port, bool wildcard)
    {
        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint count = Control.Introduce(s, id, fd, elements);
        Nqe* bind = &elements[count];
        *bind = default;
        bind->Op = Op.Bind;
        bind->Socket = id;
        bind->OpData = low;
        bind->DataPtr = high;
        bind->Aux = port;
        bind->Flags = (wildcard ? NqeFlags.Wildcard : 0)
            | (s->Domain == Abi.AF_INET6 && Options.IsOn(fd, Abi.IPPROTO_IPV6, Abi.IPV6_V6ONLY) ? NqeFlags.V6Only : 0)
            | (Options.IsOn(fd, Abi.SOL_SOCKET, Abi.SO_REUSEADDR) ? NqeFlags.ReuseAddress : 0)
            | (Options.IsOn(fd, Abi.SOL_SOCKET, Abi.SO_REUSEPORT) ? NqeFlags.ReusePort : 0);
        int error = Control.Request(s, id, RingKind.Job, elements, count + 1);
        error = error != 0 ? error : (int)s->ControlError;
        if (error == 0)
        {
            s->LocalLow = low;
            s->LocalHigh = high;
            s->LocalPort = (ushort)s->ControlPtr;
        }

        return error;
    }

    internal static int Connect(int fd, SocketSlot* s, byte* address, uint length)
    {
        if (address != null && length >= 2 && *(ushort*)address == Abi.AF_UNSPEC)
        {
            return Disconnect(fd, s);
        }

        int error = ParsePeer(fd, s, address, length, out ulong low, out ulong high, out ushort port);
        if (error != 0)
        {
            return Libc.Fail(error);
        }

        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        if (Datagrams.IsNative(s, low, high))
        {
            error = ConnectNative(fd, s, address, length);
        }
        else
        {
            error = ConnectAtNsm(fd, s, low, high, port);
        }

        Locks.Leave(ref s->ControlLock);
        if (error != 0)
        {
            return Libc.Fail(error);
        }

        Epoll.WatchNativeHalf(fd, Fds.IdOf(fd));
        Waiting.Changed(s, Fds.IdOf(fd)); // who waits to receive does so on the other half from now on
        return 0;
    }

    /// <summary>
    /// Before a socket gets another peer: drops what came to the half that its peer is not on. A kernel with both halves in one knows of the peer, and would not have let it in.
    /// </summary>
    private static void DropStrays(int fd, SocketSlot* s)
    {
        const int Most = 4096;
        uint status = Volatile.Read(ref s->Status);
        if ((status & Datagrams.NativePeer) != 0)
        {
            DatagramReceiving.DropAll(fd, s);
            return;
        }

        bool connected = (status & SocketStatus.Connected) != 0;
        for (int i = 0; connected && i < Most && Real.recv(fd, null, 0, Abi.MSG_DONTWAIT) >= 0; i++)
        {
        }
    }

    private static int ConnectNative(int fd, SocketSlot* s, byte* address, uint length)
    {
        DropStrays(fd, s);
        if (Real.connect(fd, address, length) != 0)
        {
            return Libc.Errno;
        }

        if ((Interlocked.Or(ref s->Status, Datagrams.NativePeer) & SocketStatus.Connected) != 0)
        {
            _ = Dissolve(fd, s);
            Interlocked.And(ref s->Status, ~SocketStatus.Connected);
        }

        return 0;
    }

    private static int ConnectAtNsm(int fd, SocketSlot* s, ulong low, ulong high, ushort port)
    {
        DropStrays(fd, s);
        int error = ConnectAtNsm(fd, Fds.IdOf(fd), s, low, high, port);
        if (error == 0 && (Interlocked.And(ref s->Status, ~Datagrams.NativePeer) & Datagrams.NativePeer) != 0)
        {
            Unbind(fd);
        }

        if (error == 0 && (Volatile.Read(ref s->Status) & SocketStatus.NativeBound) != 0)
        {
            NarrowNative(fd, s, low, high, NativePort(fd));
        }

        return error;
    }

    /// <summary>
    /// In the kernel a socket on the wildcard has the route's address from connect(2) on (ip4_datagram_connect), and takes from its peer only: others may bind its port on
    /// loopback. The loopback half gets the same by a peer that nobody else is: itself. Its connect to AF_UNSPEC undoes it.
    /// </summary>
    private static void NarrowNative(int fd, SocketSlot* s, ulong peerLow, ulong peerHigh, ushort port)
    {
        bool mapped = Addresses.IsMapped(peerLow, peerHigh);
        ulong low = mapped ? 0 : Region.Header->Address6Low;
        ulong high = mapped ? Addresses.Map(Region.Header->Address4) : Region.Header->Address6High;
        if (Region.IsHostMode || port == 0 || !Region.IsOwnAddress(low, high))
        {
            return;
        }

        byte* self = stackalloc byte[28];
        _ = Real.connect(fd, self, Addresses.Format(s->Domain, low, high, port, self));
    }

    /// <summary>Connects at the NSM; the caller holds the ControlLock.</summary>
    internal static int ConnectAtNsm(int fd, uint id, SocketSlot* s, ulong low, ulong high, ushort port)
    {
        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint count = Control.Introduce(s, id, fd, elements);
        Nqe* connect = &elements[count];
        *connect = default;
        connect->Op = Op.Connect;
        connect->Socket = id;
        connect->OpData = low;
        connect->DataPtr = high;
        connect->Aux = port;
        int error = Control.Request(s, id, RingKind.Job, elements, count + 1);
        error = error != 0 ? error : (int)s->ControlError;
        if (error != 0)
        {
            return error;
        }

        s->PeerLow = low;
        s->PeerHigh = high;
        s->PeerPort = port;
        Interlocked.Or(ref s->Status, SocketStatus.Connected);
        return 0;
    }

    /// <summary>connect(AF_UNSPEC): a port that the program did not choose goes with the peer (the kernel's udp_disconnect).</summary>
    private static int Disconnect(int fd, SocketSlot* s)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        DropStrays(fd, s);
        uint status = Volatile.Read(ref s->Status);
        int error = (status & SocketStatus.Known) != 0 ? Dissolve(fd, s) : 0;
        Unbind(fd);
        Interlocked.And(ref s->Status, ~(SocketStatus.Connected | Datagrams.NativePeer));
        if ((status & Datagrams.KeepsPort) == 0)
        {
            Interlocked.And(ref s->Status, ~(SocketStatus.Bound | SocketStatus.NativeBound | SocketStatus.WildcardBound));
        }

        byte* local = stackalloc byte[28];
        uint length = 28;
        if (Real.getsockname(fd, local, &length) == 0 && Addresses.Parse(local, length, s->Domain, out ulong low, out ulong high, out ushort port) == 0)
        {
            s->LocalLow = low;
            s->LocalHigh = high;
            s->LocalPort = Region.IsHostMode && (status & Datagrams.KeepsPort) != 0 ? s->LocalPort : port;
        }

        Locks.Leave(ref s->ControlLock);
        Epoll.WatchNativeHalf(fd, Fds.IdOf(fd));
        return error == 0 ? 0 : Libc.Fail(error);
    }

    private static int Dissolve(int fd, SocketSlot* s)
    {
        Nqe connect = default;
        connect.Op = Op.Connect;
        connect.Socket = Fds.IdOf(fd);
        connect.Flags = NqeFlags.Abort | ((Volatile.Read(ref s->Status) & Datagrams.KeepsPort) != 0 ? NqeFlags.Bound : 0);
        int error = Control.Request(s, connect.Socket, RingKind.Job, &connect, 1);
        return error != 0 ? error : (int)s->ControlError;
    }

    /// <summary>A destination for connect and sendto; an IPv6 socket takes IPv4 addresses too. 0, or the errno that the kernel gives.</summary>
    internal static int ParsePeer(int fd, SocketSlot* s, byte* address, uint length, out ulong low, out ulong high, out ushort port)
    {
        bool plain4 = s->Domain == Abi.AF_INET6 && address != null && length >= 16 && *(ushort*)address == Abi.AF_INET;
        int error = Addresses.Parse(address, length, plain4 ? Abi.AF_INET : s->Domain, out low, out high, out port);
        if (error == 0 && s->Domain == Abi.AF_INET6 && Addresses.IsMapped(low, high) && Options.IsOn(fd, Abi.IPPROTO_IPV6, Abi.IPV6_V6ONLY))
        {
            error = plain4 ? Abi.EAFNOSUPPORT : Abi.ENETUNREACH;
        }

        return error;
    }

    internal static int GetSockName(int fd, SocketSlot* s, void* address, uint* length)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & Datagrams.NativePeer) != 0 || (status & (SocketStatus.Bound | SocketStatus.Connected)) == 0)
        {
            return Real.getsockname(fd, address, length);
        }

        if (address == null || length == null)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        Addresses.Put(s->Domain, s->LocalLow, s->LocalHigh, s->LocalPort, address, length);
        return 0;
    }

    internal static int GetPeerName(int fd, SocketSlot* s, void* address, uint* length)
    {
        uint status = Volatile.Read(ref s->Status);
        if ((status & SocketStatus.Connected) == 0)
        {
            return Real.getpeername(fd, address, length);
        }

        if (address == null || length == null)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        Addresses.Put(s->Domain, s->PeerLow, s->PeerHigh, s->PeerPort, address, length);
        return 0;
    }

    /// <summary>The kernel socket gets a port of its own choice, if the socket has none; the NSM will take the same.</summary>
    internal static void EnsureNativePort(int fd, SocketSlot* s)
    {
        if (!Region.IsHostMode && (Volatile.Read(ref s->Status) & (SocketStatus.Bound | SocketStatus.Connected)) == 0 && NativePort(fd) == 0)
        {
            _ = BindNative(fd, s, 0, s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0, 0);
        }
    }

    /// <summary>A connected socket sends to loopback: the kernel socket takes the port that the NSM's has, if it is free.</summary>
    internal static void BindLoopbackHalf(int fd, SocketSlot* s)
    {
        if (BindNative(fd, s, 0, s->Domain == Abi.AF_INET ? Addresses.Map(0) : 0, s->LocalPort) == 0)
        {
            NarrowNative(fd, s, s->PeerLow, s->PeerHigh, s->LocalPort);
        }
    }

    /// <summary>The kernel socket's port; 0: none yet.</summary>
    private static ushort NativePort(int fd)
    {
        byte* local = stackalloc byte[28];
        uint length = 28;
        return Real.getsockname(fd, local, &length) == 0 ? Addresses.Swap(*(ushort*)(local + 2)) : (ushort)0;
    }

    private static int BindNative(int fd, SocketSlot* s, ulong low, ulong high, ushort port)
    {
        byte* local = stackalloc byte[28];
        return Real.bind(fd, local, Addresses.Format(s->Domain, low, high, port, local));
    }

    /// <summary>Takes the kernel socket's peer away, and its port unless the program chose it.</summary>
    private static void Unbind(int fd)
    {
        ulong* none = stackalloc ulong[2];
        none[0] = none[1] = 0;
        _ = Real.connect(fd, none, 16);
    }
}
