using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// What one host says of its connections: at most <see cref="ReportAnswer.Most"/> connections and <see cref="ScanMost"/> ids an answer, so that no listing holds up traffic.
/// </summary>
internal sealed unsafe class ConnectionReports(StackHost host, INetworkStack stack) : IDisposable
{
    private const uint ScanMost = 16384;
    private const int IPPROTO_TCP = 6, TCP_INFO = 11, TCP_CONGESTION = 13, InfoBytes = 256;

    // struct tcp_info (linux/tcp.h).
    private const int RtoAt = 8, MssAt = 16, RttAt = 68, RttVarAt = 72, SsthreshAt = 76, CwndAt = 80, RetransmitsAt = 100, DeliveryRateAt = 160;

    private readonly byte* _answer = (byte*)NativeMemory.AllocZeroed(ReportAnswer.Length + (ReportAnswer.Most * ConnectionReport.Length));
    private readonly byte* _info = (byte*)NativeMemory.AllocZeroed(InfoBytes);

    /// <summary>Answers a question; false when who asked is gone.</summary>
    public bool Answer(int fd, ReportRequest request)
    {
        uint count = Collect(ref request);
        *(ReportAnswer*)_answer = new ReportAnswer
        {
            Mark = ReportAnswer.Magic,
            QueueSet = request.QueueSet,
            Id = request.Id,
            Count = count,
            IsLast = request.QueueSet >= host.QueueSets ? 1u : 0,
        };
        Libc.IoVec vector = new() { Base = _answer, Length = ReportAnswer.Length + (count * ConnectionReport.Length) };
        Libc.MsgHdr header = new() { Iov = &vector, IovLength = 1 };
        return Libc.SendMsg(fd, &header, Libc.MSG_DONTWAIT | Libc.MSG_NOSIGNAL) > 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.Free(_answer);
        NativeMemory.Free(_info);
    }

    private uint Collect(ref ReportRequest at)
    {
        ConnectionReport* reports = (ConnectionReport*)(_answer + ReportAnswer.Length);
        uint count = 0;
        for (uint scanned = 0; scanned < ScanMost && count < ReportAnswer.Most && at.QueueSet < host.QueueSets && host.Owns(at.QueueSet); scanned++)
        {
            if (at.Id >= host.IdsOf(at.QueueSet))
            {
                at.QueueSet++;
                at.Id = 0;
                continue;
            }

            Connection* c = host.FindConnection(at.QueueSet, at.Id++);
            if (c != null && c->SocketError == 0 && !c->Has(ConnectionFlags.Finished) && Describe(c, reports + count))
            {
                reports[count++].Loop = host.LoopOf(c);
            }
        }

        return count;
    }

    /// <summary>False: no TCP connection, or none any more.</summary>
    private bool Describe(Connection* c, ConnectionReport* report)
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
