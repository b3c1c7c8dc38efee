using System.IO;
using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// Answers nkd's questions about connections (<see cref="ConnectionReport"/>), between two turns of the loop: at most <see cref="ReportAnswer.Most"/> connections and
/// <see cref="ScanMost"/> ids a question, so that no listing holds up traffic. It costs nothing while nobody asks.
/// </summary>
public sealed unsafe class ReportSocket : IDisposable
{
    /// <summary>Those who may ask at a time; others wait in the listener's backlog.</summary>
    private const int MaxClients = 4;

    private const uint ScanMost = 16384;
    private const int IPPROTO_TCP = 6, TCP_INFO = 11, TCP_CONGESTION = 13, InfoBytes = 256, MSG_TRUNC = 0x20;

    // struct tcp_info (linux/tcp.h).
    private const int RtoAt = 8, MssAt = 16, RttAt = 68, RttVarAt = 72, SsthreshAt = 76, CwndAt = 80, RetransmitsAt = 100, DeliveryRateAt = 160;

    private readonly int _listener;
    private readonly string _path;
    private readonly int[] _clients = new int[MaxClients];
    private readonly byte* _answer = (byte*)NativeMemory.AllocZeroed(ReportAnswer.Length + (ReportAnswer.Most * ConnectionReport.Length));
    private readonly byte* _info = (byte*)NativeMemory.AllocZeroed(InfoBytes);

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

        NativeMemory.Free(_answer);
        NativeMemory.Free(_info);
    }

    /// <summary>Puts the listener into the host's epoll set.</summary>
    internal void Watch(int epoll, ulong token)
    {
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN | Libc.EPOLLET, Data = token }; // one too many is taken when another goes
        _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_ADD, _listener, &e);
    }

    /// <summary>Somebody came, asks or went.</summary>
    internal void Serve(int epoll, ulong token, StackHost host, INetworkStack stack)
    {
        for (int i = 0; i < MaxClients; i++)
        {
            if (_clients[i] >= 0 && !Answer(_clients[i], host, stack))
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

    private bool Answer(int fd, StackHost host, INetworkStack stack)
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

        uint count = Collect(host, stack, ref request);
        *(ReportAnswer*)_answer = new ReportAnswer
        {
            Mark = ReportAnswer.Magic,
            QueueSet = request.QueueSet,
            Id = request.Id,
            Count = count,
            IsLast = request.QueueSet >= host.QueueSets ? 1u : 0,
        };
        vector = new() { Base = _answer, Length = ReportAnswer.Length + (count * ConnectionReport.Length) };
        header = new() { Iov = &vector, IovLength = 1 };
        return Libc.SendMsg(fd, &header, Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL) > 0;
    }

    private uint Collect(StackHost host, INetworkStack stack, ref ReportRequest at)
    {
        ConnectionReport* reports = (ConnectionReport*)(_answer + ReportAnswer.Length);
        uint count = 0;
        for (uint scanned = 0; scanned < ScanMost && count < ReportAnswer.Most && at.QueueSet < host.QueueSets; scanned++)
        {
            if (at.Id >= host.IdsOf(at.QueueSet))
            {
                at.QueueSet++;
                at.Id = 0;
                continue;
            }

            Connection* c = host.FindConnection(at.QueueSet, at.Id++);
            if (c != null && c->SocketError == 0 && !c->Has(ConnectionFlags.Finished) && Describe(c, stack, reports + count))
            {
                reports[count++].Loop = host.LoopOf(c);
            }
        }

        return count;
    }

    /// <summary>False: no TCP connection, or none any more.</summary>
    private bool Describe(Connection* c, INetworkStack stack, ConnectionReport* report)
    {
        const byte Closed = 7, Listens = 10; // TCP_CLOSE, TCP_LISTEN
        new Span<byte>(_info, InfoBytes).Clear();
        if (stack.GetOption(c, IPPROTO_TCP, TCP_INFO, _info, InfoBytes, out uint length) != 0 || length < DeliveryRateAt + sizeof(ulong) || *_info is Closed or Listens)
        {
            return false;
        }

        *report = default;
        report->Id = c->Id;
        report->Guest = c->GuestId;
        report->Rto = *(uint*)(_info + RtoAt);
        report->Mss = *(uint*)(_info + MssAt);
        report->Rtt = *(uint*)(_info + RttAt);
        report->RttVar = *(uint*)(_info + RttVarAt);
        report->Ssthresh = *(uint*)(_info + SsthreshAt);
        report->Cwnd = *(uint*)(_info + CwndAt);
        report->Retransmits = *(uint*)(_info + RetransmitsAt);
        report->DeliveryRate = *(ulong*)(_info + DeliveryRateAt);
        _ = stack.GetOption(c, IPPROTO_TCP, TCP_CONGESTION, report->Congestion, ConnectionReport.NameBytes - 1, out _);
        return true;
    }
}
