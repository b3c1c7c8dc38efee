using System.IO;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// Hears nkd's questions about connections (<see cref="ConnectionReport"/>), between two turns of the loop. It costs nothing while nobody asks.
/// </summary>
public sealed unsafe class ReportSocket : IDisposable
{
    /// <summary>Those who may ask at a time; others wait in the listener's backlog.</summary>
    private const int MaxClients = 4;

    private const int MSG_TRUNC = 0x20;

    private readonly int _listener;
    private readonly string _path;
    private readonly int[] _clients = new int[MaxClients];

    private ReportSocket(string path, int listener)
    {
        _path = path;
        _listener = listener;
        _clients.AsSpan().Fill(-1);
    }

    /// <summary>Listens on the path, in the place of whoever did before.</summary>
    /// <exception cref="AttachException">It cannot be made.</exception>
    public static ReportSocket Listen(string path)
    {
        File.Delete(path);
        int fd = SeqPacket.Listen(path);
        return fd >= 0 ? new ReportSocket(path, fd) : throw new AttachException($"{path}: {Libc.Describe(-fd)}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        File.Delete(_path);
        _ = Libc.Close(_listener);
        foreach (int client in _clients)
        {
            Close(client);
        }
    }

    /// <summary>Puts the listener into the host's epoll set.</summary>
    internal void Watch(int epoll, ulong token)
    {
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN | Libc.EPOLLET, Data = token }; // one too many is taken when another goes
        _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_ADD, _listener, &e);
    }

    /// <summary>Somebody came, asks or went.</summary>
    internal void Serve(int epoll, ulong token, StackHost host)
    {
        for (int i = 0; i < MaxClients; i++)
        {
            if (_clients[i] >= 0 && !Answer(_clients[i], host))
            {
                Close(_clients[i]);
                _clients[i] = -1;
            }

            if (_clients[i] < 0 && SeqPacket.Accept(_listener) is var fd and >= 0)
            {
                _clients[i] = fd;
                Libc.EpollEvent e = new() { Events = Libc.EPOLLIN, Data = token }; // what it has asked already makes it readable
                _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_ADD, fd, &e);
            }
        }
    }

    private static void Close(int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.Close(fd);
        }
    }

    private bool Answer(int fd, StackHost host)
    {
        ReportRequest request = default;
        Libc.IoVec vector = new() { Base = &request, Length = ReportRequest.Length };
        Libc.MsgHdr header = new() { Iov = &vector, IovLength = 1 };
        nint got = Libc.RecvMsg(fd, &header, Libc.MSG_DONTWAIT);
        if (got < 0)
        {
            return Libc.Errno == Libc.EAGAIN;
        }

        if (got != ReportRequest.Length || (header.Flags & MSG_TRUNC) != 0 || request.Magic != ReportAnswer.Magic)
        {
            return false;
        }

        StackHost owner = host.OwnerOf(request.QueueSet);
        if (owner == host)
        {
            return host.Reports.Answer(fd, request);
        }

        // Connections belong to their host's thread: that one looks, and answers.
        const int DuplicateCloexec = 1030;
        int copy = Libc.Fcntl(fd, DuplicateCloexec, 0);
        if (copy < 0)
        {
            return false;
        }

        ReportRequest asked = request;
        owner.Post(() =>
        {
            _ = owner.Reports.Answer(copy, asked);
            Close(copy);
        });
        return true;
    }
}
