using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>The calls that move data.</summary>
internal static unsafe class Data
{
    private static nint Receive(int fd, SocketSlot* s, void* buffer, nuint length, int flags)
    {
        if (Datagrams.Is(s))
        {
            return DatagramCalls.Receive(fd, s, buffer, length, flags);
        }

        IoVec vector = new() { Base = (byte*)buffer, Length = length > Messages.MostBytes ? Messages.MostBytes : length };
        return Receiving.Receive(fd, s, &vector, 1, flags);
    }

    private static nint Send(int fd, SocketSlot* s, void* buffer, nuint length, int flags)
    {
        if (Datagrams.Is(s))
        {
            return DatagramCalls.Send(fd, s, buffer, length, flags);
        }

        IoVec vector = new() { Base = (byte*)buffer, Length = length > Messages.MostBytes ? Messages.MostBytes : length };
        return Sending.Send(fd, s, &vector, 1, flags);
    }

    /// <summary>The socket behind an fd, to receive from. A datagram socket whose CoreEngine is gone is waited for; when there is none, errno says why.</summary>
    private static SocketSlot* ToRead(int fd, int flags)
    {
        SocketSlot* s = Fds.Ours(fd);
        return s == null && Fds.IsSuspended(fd) ? DatagramRevival.Await(fd, flags) : s;
    }

    // Of a stream ECONNRESET once, then the end.
    private static int FailRead(int fd) => Fds.IsSuspended(fd) ? -1 : Fds.TakeReset(fd) is 0 ? 0 : Libc.Fail(Abi.ECONNRESET);

    [RuntimeExport("read")]
    public static nint Read(int fd, void* buffer, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = ToRead(fd, 0);
        return s == null ? Fds.IsDead(fd) ? FailRead(fd) : Real.read(fd, buffer, length)
            : !UserMemory.IsPlausible(buffer, length) ? Libc.Fail(Abi.EFAULT)
            : length == 0 ? 0 // the kernel does not even ask the socket
            : Receive(fd, s, buffer, length, 0);
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
        SocketSlot* s = ToRead(fd, flags);
        return s != null ? Receive(fd, s, buffer, length, flags) : Fds.IsDead(fd) ? FailRead(fd) : Real.recv(fd, buffer, length, flags);
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
        SocketSlot* s = ToRead(fd, flags);
        if (s == null)
        {
            return Fds.IsDead(fd) ? FailRead(fd) : Real.recvfrom(fd, buffer, length, flags, address, addressLength);
        }

        if (Datagrams.Is(s))
        {
            return DatagramCalls.Receive(fd, s, buffer, length, flags, address, addressLength);
        }

        nint got = Receive(fd, s, buffer, length, flags);
        int error = got < 0 ? 0 : Messages.PutNoAddress(address, addressLength);
        return error != 0 ? Libc.Fail(error) : got;
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
        SocketSlot* s = ToRead(fd, 0);
        return s == null ? Fds.IsDead(fd) ? FailRead(fd) : Real.readv(fd, vectors, count) : Vectors.Read(fd, s, vectors, count, 0);
    }

    [RuntimeExport("recvmsg")]
    public static nint RecvMsg(int fd, MsgHdr* message, int flags)
    {
        Real.Ensure();
        SocketSlot* s = ToRead(fd, flags);
        if (s == null)
        {
            return Fds.IsDead(fd) ? FailRead(fd) : Passing.Receive(fd, message, flags);
        }

        int error = Messages.CheckReceive(message);
        if (error != 0)
        {
            return Libc.Fail(error);
        }

        if (Datagrams.Is(s))
        {
            return DatagramReceiving.Receive(fd, s, message, flags);
        }

        nint got = Receiving.Receive(fd, s, message->Iov, message->IovLength, flags);
        if (got < 0)
        {
            return got;
        }

        if (!UserMemory.CanWrite(message, (nuint)sizeof(MsgHdr)))
        {
            return Libc.Fail(Abi.EFAULT);
        }

        message->NameLength = message->Name != null ? 0 : message->NameLength; // a stream has no address per message
        message->Flags = flags & Abi.MSG_CMSG_CLOEXEC;
        if (s->Wanted != 0)
        {
            ControlMessages.WriteInQueue(s, message);
        }
        else
        {
            message->ControlLength = 0;
        }

        return got;
    }

    [RuntimeExport("recvmmsg")]
    public static int RecvMMsg(int fd, MMsgHdr* messages, uint count, int flags, TimeSpec* timeout)
    {
        Real.Ensure();
        SocketSlot* s = ToRead(fd, flags);
        return s == null ? Fds.IsSuspended(fd) ? -1 : Passing.ReceiveMany(fd, messages, count, flags, timeout)
            : Datagrams.Is(s) ? DatagramReceiving.ReceiveMany(fd, s, messages, count, flags, timeout)
            : Vectors.ReceiveMany(fd, messages, count, flags, timeout);
    }

    [RuntimeExport("write")]
    public static nint Write(int fd, void* buffer, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsDead(fd) ? Fds.FailSend(fd) : Real.write(fd, buffer, length)
            : UserMemory.IsPlausible(buffer, length) ? Send(fd, s, buffer, length, 0) : Libc.Fail(Abi.EFAULT);
    }

    [RuntimeExport("send")]
    public static nint Send(int fd, void* buffer, nuint length, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s != null ? Send(fd, s, buffer, length, flags) : Fds.IsDead(fd) ? Fds.FailSend(fd, flags) : Real.send(fd, buffer, length, flags);
    }

    [RuntimeExport("sendto")]
    public static nint SendTo(int fd, void* buffer, nuint length, int flags, void* address, uint addressLength)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsDead(fd) ? Fds.FailSend(fd, flags) : Addresses.Unreachable(fd, Real.sendto(fd, buffer, length, flags, address, addressLength));
        }

        int error = Messages.CheckDestination(address, addressLength); // a stream goes to its peer all the same
        return error != 0 ? Libc.Fail(error)
            : Datagrams.Is(s) ? DatagramCalls.Send(fd, s, buffer, length, flags, address, addressLength)
            : (flags & Abi.MSG_FASTOPEN) != 0 ? SendFast(fd, s, buffer, length, flags, address, addressLength)
            : Send(fd, s, buffer, length, flags);
    }

    private static nint SendFast(int fd, SocketSlot* s, void* buffer, nuint length, int flags, void* address, uint addressLength)
    {
        IoVec vector = new() { Base = (byte*)buffer, Length = length > Messages.MostBytes ? Messages.MostBytes : length };
        return FastOpening.Send(fd, s, &vector, 1, flags, address, addressLength);
    }

    [RuntimeExport("writev")]
    public static nint WriteV(int fd, IoVec* vectors, int count)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsDead(fd) ? Fds.FailSend(fd) : Real.writev(fd, vectors, count) : Vectors.Write(fd, s, vectors, count, 0);
    }

    [RuntimeExport("sendmsg")]
    public static nint SendMsg(int fd, MsgHdr* message, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        if (s == null)
        {
            return Fds.IsDead(fd) ? Fds.FailSend(fd, flags) : Addresses.Unreachable(fd, Passing.Send(fd, message, flags));
        }

        int error = Messages.CheckSend(message);
        if (error == 0 && Datagrams.Is(s))
        {
            return DatagramSending.Send(fd, s, message, flags);
        }

        if (error == 0 && message->ControlLength != 0 && (Volatile.Read(ref s->Status) & SocketStatus.Connected) != 0
            && !Messages.IsStreamControl((byte*)message->Control, message->ControlLength))
        {
            error = Abi.EINVAL;
        }

        return error != 0 ? Libc.Fail(error)
            : (flags & Abi.MSG_FASTOPEN) != 0 ? FastOpening.Send(fd, s, message->Iov, message->IovLength, flags, message->Name, message->Name == null ? 0 : message->NameLength)
            : Sending.Send(fd, s, message->Iov, message->IovLength, flags);
    }

    [RuntimeExport("sendmmsg")]
    public static int SendMMsg(int fd, MMsgHdr* messages, uint count, int flags)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(fd);
        return s == null ? Fds.IsSuspended(fd) ? Fds.FailDead(fd) : Passing.SendMany(fd, messages, count, flags)
            : Datagrams.Is(s) ? DatagramSending.SendMany(fd, s, messages, count, flags) : Vectors.SendMany(fd, messages, count, flags);
    }

    private static void Check(nuint length, nuint room)
    {
        if (length > room)
        {
            Internal.Runtime.LibC.abort(); // what glibc's fortified calls do
        }
    }
}
