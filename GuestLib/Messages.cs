using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>What a program passes to the calls that move data, taken apart and checked as the kernel does it before it looks at the socket.</summary>
internal static unsafe class Messages
{
    /// <summary>The most that one call moves (MAX_RW_COUNT: read(2), sendfile(2)).</summary>
    internal const nuint MostBytes = 0x7FFF_F000;

    /// <summary>IOV_MAX.</summary>
    internal const nuint MostVectors = 1024;

    private const uint MostName = 128; // struct sockaddr_storage
    private const nuint MostControl = 131_072; // net.core.optmem_max
    private const int ENOBUFS = Abi.ENOBUFS, EMSGSIZE = 90;

    /// <summary>
    /// The sum of the lengths, at most <see cref="MostBytes"/>; -1 with EINVAL for a length below 0, EFAULT for an address that no program can have. The vectors themselves are readable.
    /// </summary>
    internal static nint Total(IoVec* vectors, nuint count)
    {
        nuint total = 0;
        for (nuint i = 0; i < count; i++)
        {
            nuint length = vectors[i].Length;
            if ((nint)length < 0)
            {
                return Libc.Fail(Abi.EINVAL);
            }

            if (!UserMemory.IsPlausible(vectors[i].Base, length))
            {
                return Libc.Fail(Abi.EFAULT);
            }

            total += length < MostBytes - total ? length : MostBytes - total;
        }

        return (nint)total;
    }

    /// <summary>The vectors of readv(2), writev(2): 0, or an errno.</summary>
    internal static int CheckVectors(IoVec* vectors, int count) =>
        (uint)count > MostVectors ? Abi.EINVAL : UserMemory.CanRead(vectors, (nuint)(uint)count * (nuint)sizeof(IoVec)) ? 0 : Abi.EFAULT;

    /// <summary>The header of recvmsg(2): 0, or an errno.</summary>
    internal static int CheckReceive(MsgHdr* message) =>
        !UserMemory.CanRead(message, (nuint)sizeof(MsgHdr)) ? Abi.EFAULT
        : message->Name != null && (int)message->NameLength < 0 ? Abi.EINVAL
        : message->IovLength > MostVectors ? EMSGSIZE
        : UserMemory.CanRead(message->Iov, message->IovLength * (nuint)sizeof(IoVec)) ? 0 : Abi.EFAULT;

    /// <summary>The header of sendmsg(2): 0, or an errno.</summary>
    internal static int CheckSend(MsgHdr* message)
    {
        int error = CheckReceive(message);
        if (error != 0)
        {
            return error;
        }

        if (message->Name != null && !UserMemory.CanRead(message->Name, message->NameLength < MostName ? message->NameLength : MostName))
        {
            return Abi.EFAULT;
        }

        return message->ControlLength > MostControl ? ENOBUFS : UserMemory.CanRead(message->Control, message->ControlLength) ? 0 : Abi.EFAULT;
    }

    /// <summary>The address of sendto(2): 0, or an errno.</summary>
    internal static int CheckDestination(void* address, uint length) =>
        address == null ? 0 : length > MostName ? Abi.EINVAL : UserMemory.CanRead(address, length) ? 0 : Abi.EFAULT;

    /// <summary>Tells recvfrom(2)'s caller that there is no address, as for every stream: 0, or an errno.</summary>
    internal static int PutNoAddress(void* address, uint* length)
    {
        if (address == null)
        {
            return 0;
        }

        if (!UserMemory.CanWrite(length, sizeof(uint)))
        {
            return Abi.EFAULT;
        }

        if ((int)*length < 0)
        {
            return Abi.EINVAL;
        }

        *length = 0;
        return 0;
    }

    /// <summary>
    /// Control messages for a stream socket (sendmsg(2), cmsg(3)): those of another level mean nothing to TCP and are skipped, as in the kernel, which also ignores
    /// SCM_RIGHTS, SCM_CREDENTIALS and SO_PRIORITY here. What would act on the NSM's packets (SO_MARK, SO_TIMESTAMPING, SCM_TXTIME) and what nobody knows is EINVAL.
    /// </summary>
    internal static bool IsStreamControl(byte* control, nuint length)
    {
        const int SCM_RIGHTS = 1, SCM_CREDENTIALS = 2;
        const nuint Header = 16;
        nuint at = 0;
        while (length - at >= Header)
        {
            nuint size = *(nuint*)(control + at);
            int level = *(int*)(control + at + 8);
            int type = *(int*)(control + at + 12);
            if (size < Header || size > length - at
                || (level == Abi.SOL_SOCKET && type is not (SCM_RIGHTS or SCM_CREDENTIALS) && !(type == Abi.SO_PRIORITY && size == Header + 4)))
            {
                return false;
            }

            size = (size + 7) & ~(nuint)7;
            if (size > length - at)
            {
                break;
            }

            at += size;
        }

        return true;
    }
}
