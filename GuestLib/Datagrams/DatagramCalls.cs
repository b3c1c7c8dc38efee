using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>The calls that move one buffer, as messages.</summary>
internal static unsafe class DatagramCalls
{
    internal static nint Receive(int fd, SocketSlot* s, void* buffer, nuint length, int flags, void* address = null, uint* addressLength = null)
    {
        IoVec vector = new() { Base = (byte*)buffer, Length = length > Messages.MostBytes ? Messages.MostBytes : length };
        return Receive(fd, s, &vector, 1, flags, address, addressLength);
    }

    internal static nint Receive(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags, void* address = null, uint* addressLength = null)
    {
        const uint MostName = 28;
        byte* name = stackalloc byte[(int)MostName];
        MsgHdr message = default;
        message.Iov = vectors;
        message.IovLength = count;
        message.Name = address == null ? null : name;
        message.NameLength = MostName;
        nint got = DatagramReceiving.Receive(fd, s, &message, flags);
        int error = got >= 0 && address != null ? PutName(name, message.NameLength, address, addressLength) : 0;
        return error == 0 ? got : Libc.Fail(error);
    }

    internal static nint Send(int fd, SocketSlot* s, void* buffer, nuint length, int flags, void* address = null, uint addressLength = 0)
    {
        IoVec vector = new() { Base = (byte*)buffer, Length = length > Messages.MostBytes ? Messages.MostBytes : length };
        return Send(fd, s, &vector, 1, flags, address, addressLength);
    }

    internal static nint Send(int fd, SocketSlot* s, IoVec* vectors, nuint count, int flags, void* address = null, uint addressLength = 0)
    {
        MsgHdr message = default;
        message.Iov = vectors;
        message.IovLength = count;
        message.Name = addressLength == 0 ? null : address; // an address of no bytes is none (sendto(2))
        message.NameLength = addressLength;
        return DatagramSending.Send(fd, s, &message, flags);
    }

    /// <summary>As the kernel does after the datagram was taken (move_addr_to_user). 0, or an errno.</summary>
    private static int PutName(byte* name, uint bytes, void* address, uint* length)
    {
        if (!UserMemory.CanWrite(length, sizeof(uint)))
        {
            return Abi.EFAULT;
        }

        uint room = *length < bytes ? *length : bytes;
        if ((int)*length < 0 || !UserMemory.CanWrite(address, room))
        {
            return (int)*length < 0 ? Abi.EINVAL : Abi.EFAULT;
        }

        _ = Libc.memmove(address, name, room);
        *length = bytes;
        return 0;
    }
}
