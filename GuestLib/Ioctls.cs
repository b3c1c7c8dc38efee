using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>ioctl(2) on a socket of ours: what tcp(7) answers is answered here, interface requests and the rest by the kernel socket, which is in the guest's namespace.</summary>
internal static unsafe class Ioctls
{
    private const nuint SIOCOUTQNSD = 0x894B, FIOASYNC = 0x5452;
    private const int ENOTTY = 25;

    internal static int Do(int fd, SocketSlot* s, nuint request, nint argument)
    {
        switch (request)
        {
            case Abi.FIONREAD:
            case Abi.SIOCOUTQ:
            case SIOCOUTQNSD:
                if ((Volatile.Read(ref s->Status) & SocketStatus.Listening) != 0)
                {
                    return Libc.Fail(Abi.EINVAL);
                }

                if (Datagrams.Is(s) && request == SIOCOUTQNSD)
                {
                    return Libc.Fail(ENOTTY);
                }

                int number = Datagrams.Is(s) ? request == Abi.FIONREAD ? Datagrams.Available(fd, s) : (int)Volatile.Read(ref s->TxBytes)
                    : request == Abi.FIONREAD ? Receiving.Available(s) : Unsent(s, Fds.IdOf(fd), request == Abi.SIOCOUTQ);
                if (!UserMemory.CanWrite((void*)argument, sizeof(int)))
                {
                    return Libc.Fail(Abi.EFAULT);
                }

                *(int*)argument = number;
                return 0;
            case FIOASYNC:
                // Nobody watches the socket while the program is elsewhere, so there is nobody to send SIGIO.
                return !UserMemory.CanRead((void*)argument, sizeof(int)) ? Libc.Fail(Abi.EFAULT) : *(int*)argument == 0 ? 0 : Libc.Fail(ENOTTY);
            default:
                return Real.ioctl(fd, request, argument);
        }
    }

    /// <summary>Bytes that wait to be sent, in the pool and in the NSM; with <paramref name="unacknowledged"/> those that are on the wire as well.</summary>
    private static int Unsent(SocketSlot* s, uint id, bool unacknowledged)
    {
        const int Bytes = 232, NotSent = 144, Acknowledged = 120, Sent = 200, Again = 208; // struct tcp_info, linux/tcp.h
        byte* info = stackalloc byte[Bytes];
        uint before;
        long inNsm = 0;
        int tries = 0;
        do
        {
            // Bytes that move to the NSM between the two looks would be missed, or counted twice: look again.
            _ = Draining.Of(s->QueueSet);
            before = Volatile.Read(ref s->TxBytes);
            uint length = Bytes;
            inNsm = 0;
            if ((Volatile.Read(ref s->Status) & (SocketStatus.Connected | SocketStatus.Reset)) == SocketStatus.Connected
                && Options.Ask(s, id, Abi.IPPROTO_TCP, Abi.TCP_INFO, info, &length) == 0 && length >= Again + sizeof(long))
            {
                inNsm = *(uint*)(info + NotSent);
                inNsm += unacknowledged ? *(long*)(info + Sent) - *(long*)(info + Again) - *(long*)(info + Acknowledged) : 0;
            }
        }
        while (Volatile.Read(ref s->TxBytes) != before && ++tries < 3);
        return (int)(before + (inNsm < 0 ? 0 : inNsm));
    }
}
