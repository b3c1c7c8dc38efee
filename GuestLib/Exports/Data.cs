using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>The calls that move data.</summary>
internal static unsafe class Data
{
    private const nuint MostBytes = 0x7FFF_F000; // read(2), sendfile(2)
    private const int MostVectors = 1024; // IOV_MAX

    private static nint Receive(int fd, SocketSlot* s, void* buffer, nuint length, int flags)
    {
        if (buffer == null && length != 0)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        IoVec vector = new() { Base = (byte*)buffer, Length = length > MostBytes ? MostBytes : length };
        return Receiving.Receive(fd, s, &vector, 1, flags);
    }

    private static nint Send(int fd, SocketSlot* s, void* buffer, nuint length, int flags)
    {
        if (buffer == null && length != 0)
        {
            return Libc.Fail(Abi.EFAULT);
        }

        IoVec vector = new() { Base = (byte*)buffer, Length = length > MostBytes ? MostBytes : length };
        return Sending.Send(fd, s, &vector, 1, flags);
    }

    [RuntimeExport("read")]
    public static nint Read(int fd, void* buffer, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Receive(fd, s, buffer, length, 0) : Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.read(fd, buffer, length);
    }

    [RuntimeExport("__read_chk")]
    public static nint ReadChecked(int fd, void* buffer, nuint length, nuint room)
    {
        Check(length, room);
        return Read(fd, buffer, length);
    }

    [RuntimeExport("recv")]
    public static nint Recv(int fd, void* buffer, nuint length, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Receive(fd, s, buffer, length, flags) : Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.recv(fd, buffer, length, flags);
    }

    [RuntimeExport("__recv_chk")]
    public static nint RecvChecked(int fd, void* buffer, nuint length, nuint room, int flags)
    {
        Check(length, room);
        return Recv(fd, buffer, length, flags);
    }

    [RuntimeExport("recvfrom")]
    public static nint RecvFrom(int fd, void* buffer, nuint length, int flags, void* address, uint* addressLength)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.recvfrom(fd, buffer, length, flags, address, addressLength);
        }

        if (address != null && addressLength != null)
        {
            *addressLength = 0; // a stream has no address per message
        }

        return Receive(fd, s, buffer, length, flags);
    }

    [RuntimeExport("__recvfrom_chk")]
    public static nint RecvFromChecked(int fd, void* buffer, nuint length, nuint room, int flags, void* address, uint* addressLength)
    {
        Check(length, room);
        return RecvFrom(fd, buffer, length, flags, address, addressLength);
    }

    [RuntimeExport("readv")]
    public static nint ReadV(int fd, IoVec* vectors, int count)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.readv(fd, vectors, count)
            : (uint)count > MostVectors ? Libc.Fail(Abi.EINVAL) : Receiving.Receive(fd, s, vectors, (nuint)count, 0);
    }

    [RuntimeExport("recvmsg")]
    public static nint RecvMsg(int fd, MsgHdr* message, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.recvmsg(fd, message, flags);
        }

        if (message == null || message->IovLength > MostVectors)
        {
            return Libc.Fail(message == null ? Abi.EFAULT : 90); // EMSGSIZE
        }

        nint got = Receiving.Receive(fd, s, message->Iov, message->IovLength, flags);
        if (got >= 0)
        {
            message->NameLength = 0;
            message->ControlLength = 0;
            message->Flags = 0;
        }

        return got;
    }

    [RuntimeExport("recvmmsg")]
    public static int RecvMMsg(int fd, MMsgHdr* messages, uint count, int flags, TimeSpec* timeout)
    {
        Real.Ensure();
        if (Fds.Ours(fd) == null)
        {
            return Real.recvmmsg(fd, messages, count, flags, timeout);
        }

        const int MSG_WAITFORONE = 0x10000;
        for (uint i = 0; i < count; i++)
        {
            nint got = RecvMsg(fd, &messages[i].Header, (flags & ~MSG_WAITFORONE) | (i > 0 && (flags & MSG_WAITFORONE) != 0 ? Abi.MSG_DONTWAIT : 0));
            if (got < 0)
            {
                return i > 0 ? (int)i : -1;
            }

            messages[i].Length = (uint)got;
            if (got == 0)
            {
                return (int)i + 1;
            }
        }

        return (int)count;
    }

    [RuntimeExport("write")]
    public static nint Write(int fd, void* buffer, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Send(fd, s, buffer, length, 0) : Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.write(fd, buffer, length);
    }

    [RuntimeExport("send")]
    public static nint Send(int fd, void* buffer, nuint length, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Send(fd, s, buffer, length, flags) : Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.send(fd, buffer, length, flags);
    }

    [RuntimeExport("sendto")]
    public static nint SendTo(int fd, void* buffer, nuint length, int flags, void* address, uint addressLength)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Send(fd, s, buffer, length, flags)
            : Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.sendto(fd, buffer, length, flags, address, addressLength);
    }

    [RuntimeExport("writev")]
    public static nint WriteV(int fd, IoVec* vectors, int count)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.writev(fd, vectors, count)
            : (uint)count > MostVectors ? Libc.Fail(Abi.EINVAL) : Sending.Send(fd, s, vectors, (nuint)count, 0);
    }

    [RuntimeExport("sendmsg")]
    public static nint SendMsg(int fd, MsgHdr* message, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsDead(fd) ? Libc.Fail(Abi.ECONNRESET) : Real.sendmsg(fd, message, flags);
        }

        if (message == null || message->IovLength > MostVectors)
        {
            return Libc.Fail(message == null ? Abi.EFAULT : 90); // EMSGSIZE
        }

        return message->ControlLength != 0 ? Libc.Fail(Abi.EOPNOTSUPP) : Sending.Send(fd, s, message->Iov, message->IovLength, flags);
    }

    [RuntimeExport("sendmmsg")]
    public static int SendMMsg(int fd, MMsgHdr* messages, uint count, int flags)
    {
        Real.Ensure();
        if (Fds.Ours(fd) == null)
        {
            return Real.sendmmsg(fd, messages, count, flags);
        }

        for (uint i = 0; i < count; i++)
        {
            nint sent = SendMsg(fd, &messages[i].Header, flags);
            if (sent < 0)
            {
                return i > 0 ? (int)i : -1;
            }

            messages[i].Length = (uint)sent;
        }

        return (int)count;
    }

    [RuntimeExport("sendfile")]
    public static nint SendFile(int to, int from, long* offset, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(to);
        if (s == null)
        {
            return Fds.IsDead(to) ? Libc.Fail(Abi.EPIPE) : Fds.Ours(from) != null ? Libc.Fail(Abi.EINVAL) : Real.sendfile(to, from, offset, length);
        }

        return Fds.KindOf(from) != FdKind.Native ? Libc.Fail(Abi.EINVAL)
            : Sending.SendFile(to, s, from, offset, length > MostBytes ? MostBytes : length);
    }

    [RuntimeExport("sendfile64")]
    public static nint SendFile64(int to, int from, long* offset, nuint length) => SendFile(to, from, offset, length);

    /// <summary>No zero-copy between pipes and the pools: refused as for a socket that does not support it, and programs fall back to copying.</summary>
    [RuntimeExport("splice")]
    public static nint Splice(int from, long* fromOffset, int to, long* toOffset, nuint length, uint flags)
    {
        Real.Ensure();
        return Fds.Ours(from) != null || Fds.Ours(to) != null || Fds.IsDead(from) || Fds.IsDead(to)
            ? Libc.Fail(Abi.EINVAL) : Real.splice(from, fromOffset, to, toOffset, length, flags);
    }

    private static void Check(nuint length, nuint room)
    {
        if (length > room)
        {
            Internal.Runtime.LibC.abort(); // what glibc's fortified calls do
        }
    }
}
