using System;
using System.Runtime.InteropServices;
using System.Text;

namespace NetKernel.Channel.Host;

/// <summary>
/// AF_UNIX SOCK_SEQPACKET sockets that carry <see cref="AttachMessage"/> and fds. All calls return a negative errno on failure, so that callers
/// decide what a dead or hostile peer means.
/// </summary>
public static unsafe class SeqPacket
{
    /// <summary>The most fds in one message.</summary>
    public const int MaxFds = 20;

    private const int HeaderBytes = 16; // struct cmsghdr on x86-64
    private const int ControlBytes = 256;

    /// <summary>Listens on a path, which must not exist. Negative errno on failure.</summary>
    public static int Listen(string path, int backlog = 128)
    {
        int fd = Libc.Socket(Libc.AF_UNIX, Libc.SOCK_SEQPACKET | Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK, 0);
        if (fd < 0)
        {
            return -Libc.Errno;
        }

        byte* address = stackalloc byte[110];
        int length = Address(path, address);
        if (length < 0 || Libc.Bind(fd, address, (uint)length) != 0 || Libc.Listen(fd, backlog) != 0)
        {
            int errno = length < 0 ? -length : Libc.Errno;
            _ = Libc.Close(fd);
            return -errno;
        }

        return fd;
    }

    /// <summary>Connects to a path; a blocking socket. Negative errno on failure.</summary>
    public static int Connect(string path)
    {
        int fd = Libc.Socket(Libc.AF_UNIX, Libc.SOCK_SEQPACKET | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return -Libc.Errno;
        }

        byte* address = stackalloc byte[110];
        int length = Address(path, address);
        if (length < 0 || Libc.Connect(fd, address, (uint)length) != 0)
        {
            int errno = length < 0 ? -length : Libc.Errno;
            _ = Libc.Close(fd);
            return -errno;
        }

        return fd;
    }

    /// <summary>Accepts a connection, non-blocking, that will carry the sender's credentials with each message. Negative errno on failure.</summary>
    public static int Accept(int listener)
    {
        int fd = Libc.Accept4(listener, null, null, Libc.SOCK_CLOEXEC | Libc.SOCK_NONBLOCK);
        if (fd < 0)
        {
            return -Libc.Errno;
        }

        int on = 1;
        _ = Libc.SetSockOpt(fd, Libc.SOL_SOCKET, Libc.SO_PASSCRED, &on, sizeof(int));
        return fd;
    }

    /// <summary>Sends one message with fds. 0, or a negative errno.</summary>
    public static int Send(int fd, in AttachMessage message, ReadOnlySpan<int> fds)
    {
        AttachMessage copy = message;
        copy.Version = ControlHeader.Version;
        copy.Fds = (uint)fds.Length;
        byte* control = stackalloc byte[ControlBytes];
        Libc.IoVec iov = new() { Base = &copy, Length = AttachMessage.Length };
        Libc.MsgHdr header = new() { Iov = &iov, IovLength = 1 };
        if (fds.Length > 0)
        {
            if (fds.Length > MaxFds)
            {
                return -Libc.EINVAL;
            }

            int bytes = HeaderBytes + (fds.Length * sizeof(int));
            *(nuint*)control = (nuint)bytes;
            *(int*)(control + 8) = Libc.SOL_SOCKET;
            *(int*)(control + 12) = Libc.SCM_RIGHTS;
            fds.CopyTo(new Span<int>(control + HeaderBytes, MaxFds));
            header.Control = control;
            header.ControlLength = (nuint)((bytes + 7) & ~7);
        }

        nint sent;
        do
        {
            sent = Libc.SendMsg(fd, &header, Libc.MSG_NOSIGNAL);
        }
        while (sent < 0 && Libc.Errno == Libc.EINTR);
        return sent < 0 ? -Libc.Errno : 0;
    }

    /// <summary>
    /// Receives one message. Returns the number of fds placed in <paramref name="fds"/> (the caller owns them), or a negative errno: -EPIPE at
    /// end of file, -EPROTO for a message of another size or version (its fds are closed). <paramref name="pid"/> is the sender's, as the kernel
    /// vouches for it, where the socket passes credentials; else 0.
    /// </summary>
    public static int Receive(int fd, out AttachMessage message, Span<int> fds, out int pid, bool wait = false)
    {
        message = default;
        pid = 0;
        AttachMessage buffer = default;
        byte* control = stackalloc byte[ControlBytes];
        Libc.IoVec iov = new() { Base = &buffer, Length = AttachMessage.Length };
        Libc.MsgHdr header = new() { Iov = &iov, IovLength = 1, Control = control, ControlLength = ControlBytes };
        nint got;
        do
        {
            got = Libc.RecvMsg(fd, &header, Libc.MSG_CMSG_CLOEXEC | (wait ? 0 : Libc.MSG_DONTWAIT));
        }
        while (got < 0 && Libc.Errno == Libc.EINTR);
        if (got < 0)
        {
            return -Libc.Errno;
        }

        int count = 0;
        bool surplus = false;
        nuint at = 0;
        while (at + HeaderBytes <= header.ControlLength)
        {
            nuint length = *(nuint*)(control + at);
            int level = *(int*)(control + at + 8);
            int type = *(int*)(control + at + 12);
            if (length < HeaderBytes || at + length > header.ControlLength)
            {
                break;
            }

            if (level == Libc.SOL_SOCKET && type == Libc.SCM_RIGHTS)
            {
                for (nuint offset = HeaderBytes; offset + sizeof(int) <= length; offset += sizeof(int))
                {
                    int received = *(int*)(control + at + offset);
                    if (count < fds.Length)
                    {
                        fds[count++] = received;
                    }
                    else
                    {
                        _ = Libc.Close(received);
                        surplus = true;
                    }
                }
            }
            else if (level == Libc.SOL_SOCKET && type == Libc.SCM_CREDENTIALS && length >= HeaderBytes + 12)
            {
                pid = *(int*)(control + at + HeaderBytes);
            }

            at += (length + 7) & ~(nuint)7;
        }

        if (got == 0 || got != AttachMessage.Length || buffer.Version != ControlHeader.Version || surplus || buffer.Fds != (uint)count)
        {
            CloseAll(fds[..count]);
            return got == 0 ? -Libc.EPIPE : -Libc.EPROTO;
        }

        message = buffer;
        return count;
    }

    /// <summary>Closes received fds.</summary>
    public static void CloseAll(ReadOnlySpan<int> fds)
    {
        foreach (int fd in fds)
        {
            _ = Libc.Close(fd);
        }
    }

    /// <summary>Puts a string into a fixed field, cut to fit, zero-terminated.</summary>
    public static void Put(Span<byte> field, string text)
    {
        field.Clear();
        Span<byte> room = field[..^1];
        _ = Encoding.UTF8.TryGetBytes(text.Length > room.Length ? text.AsSpan(0, room.Length) : text, room, out _);
    }

    /// <summary>The string in a fixed field.</summary>
    public static string Get(ReadOnlySpan<byte> field)
    {
        int end = field.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? field : field[..end]);
    }

    /// <summary>Credentials of a connected peer (SO_PEERCRED): pid, or a negative errno.</summary>
    public static int PeerPid(int fd, out uint uid)
    {
        int* credentials = stackalloc int[3];
        uint length = 12;
        if (Libc.GetSockOpt(fd, Libc.SOL_SOCKET, Libc.SO_PEERCRED, credentials, &length) != 0)
        {
            uid = uint.MaxValue;
            return -Libc.Errno;
        }

        uid = (uint)credentials[1];
        return credentials[0];
    }

    private static int Address(string path, byte* address)
    {
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes > 107)
        {
            return -Libc.EINVAL;
        }

        *(ushort*)address = Libc.AF_UNIX;
        _ = Encoding.UTF8.GetBytes(path, new Span<byte>(address + 2, 107));
        address[2 + bytes] = 0;
        return 2 + bytes + 1;
    }
}
