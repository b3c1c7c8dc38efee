using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>Several buffers in one call, several messages in one call, and the calls with per-call flags (preadv2(2)).</summary>
internal static unsafe class Vectors
{
    private const int RWF_HIPRI = 1, RWF_DSYNC = 2, RWF_SYNC = 4, RWF_NOWAIT = 8, RWF_APPEND = 16;

    internal static nint Read(int fd, SocketSlot* s, IoVec* vectors, int count, int flags)
    {
        int error = Messages.CheckVectors(vectors, count);
        nint total = error != 0 ? Libc.Fail(error) : Messages.Total(vectors, (nuint)count);
        return total <= 0 ? total : Datagrams.Is(s) ? DatagramCalls.Receive(fd, s, vectors, (nuint)count, flags) : Receiving.Receive(fd, s, vectors, (nuint)count, flags); // the kernel does not ask the socket for nothing
    }

    internal static nint Write(int fd, SocketSlot* s, IoVec* vectors, int count, int flags)
    {
        int error = Messages.CheckVectors(vectors, count);
        nint total = error != 0 ? Libc.Fail(error) : Messages.Total(vectors, (nuint)count);
        return total <= 0 ? total : Datagrams.Is(s) ? DatagramCalls.Send(fd, s, vectors, (nuint)count, flags) : Sending.Send(fd, s, vectors, (nuint)count, flags);
    }

    [RuntimeExport("preadv2")]
    public static nint PReadV2(int fd, IoVec* vectors, int count, long offset, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null || offset != -1 ? Real.preadv2(fd, vectors, count, offset, flags)
            : (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)) != 0 ? Libc.Fail(Abi.EOPNOTSUPP)
            : Read(fd, s, vectors, count, (flags & RWF_NOWAIT) != 0 ? Abi.MSG_DONTWAIT : 0);
    }

    [RuntimeExport("preadv64v2")]
    public static nint PReadV64V2(int fd, IoVec* vectors, int count, long offset, int flags) => PReadV2(fd, vectors, count, offset, flags);

    [RuntimeExport("pwritev2")]
    public static nint PWriteV2(int fd, IoVec* vectors, int count, long offset, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null || offset != -1 ? Real.pwritev2(fd, vectors, count, offset, flags)
            : (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND)) != 0 ? Libc.Fail(Abi.EOPNOTSUPP)
            : Write(fd, s, vectors, count, (flags & RWF_NOWAIT) != 0 ? Abi.MSG_DONTWAIT : 0);
    }

    [RuntimeExport("pwritev64v2")]
    public static nint PWriteV64V2(int fd, IoVec* vectors, int count, long offset, int flags) => PWriteV2(fd, vectors, count, offset, flags);

    /// <summary>recvmmsg(2) on a socket of ours: one message after another until one is missing or the time is up.</summary>
    internal static int ReceiveMany(int fd, MMsgHdr* messages, uint count, int flags, TimeSpec* timeout)
    {
        const int MSG_WAITFORONE = 0x10000;
        long end = 0;
        if (timeout != null)
        {
            if (!UserMemory.CanRead(timeout, (nuint)sizeof(TimeSpec)))
            {
                return Libc.Fail(Abi.EFAULT);
            }

            if (timeout->Seconds < 0 || (ulong)timeout->Nanoseconds >= 1_000_000_000)
            {
                return Libc.Fail(Abi.EINVAL);
            }

            end = Libc.Now() + (timeout->Seconds < 1L << 32 ? timeout->Seconds * 1_000_000_000 : 1L << 60) + timeout->Nanoseconds;
        }

        uint done = 0;
        while (done < count)
        {
            nint got = Data.RecvMsg(fd, (MsgHdr*)(messages + done), flags & ~MSG_WAITFORONE);
            if (got < 0 || !UserMemory.CanWrite(messages + done, (nuint)sizeof(MMsgHdr)))
            {
                if (done == 0)
                {
                    return got < 0 ? -1 : Libc.Fail(Abi.EFAULT);
                }

                break;
            }

            messages[done++].Length = (uint)got;
            flags |= (flags & MSG_WAITFORONE) != 0 ? Abi.MSG_DONTWAIT : 0;
            if (timeout != null)
            {
                long left = end - Libc.Now();
                timeout->Seconds = left <= 0 ? 0 : left / 1_000_000_000;
                timeout->Nanoseconds = left <= 0 ? 0 : left % 1_000_000_000;
                if (left <= 0)
                {
                    break;
                }
            }
        }

        return (int)done;
    }

    /// <summary>sendmmsg(2) on a socket of ours.</summary>
    internal static int SendMany(int fd, MMsgHdr* messages, uint count, int flags)
    {
        count = count > Messages.MostVectors ? (uint)Messages.MostVectors : count;
        uint done = 0;
        while (done < count)
        {
            nint sent = Data.SendMsg(fd, (MsgHdr*)(messages + done), flags);
            if (sent < 0 || !UserMemory.CanWrite(messages + done, (nuint)sizeof(MMsgHdr)))
            {
                return done > 0 ? (int)done : sent < 0 ? -1 : Libc.Fail(Abi.EFAULT);
            }

            messages[done++].Length = (uint)sent;
        }

        return (int)done;
    }
}
