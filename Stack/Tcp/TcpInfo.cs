using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>struct tcp_info (linux/tcp.h), as far as tcpi_snd_wnd.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct TcpInfo
{
    /// <summary>Bytes.</summary>
    public const int Length = 232;

    /// <summary>The fields, with the names of the header file without their prefix.</summary>
    public byte State, CaState, Retransmits, Probes, Backoff, Options, WindowScale, AppLimited;

    /// <summary>Microseconds and bytes.</summary>
    public uint Rto, Ato, SndMss, RcvMss, Unacked, Sacked, Lost, Retrans, Fackets;

    /// <summary>Milliseconds since.</summary>
    public uint LastDataSent, LastAckSent, LastDataReceived, LastAckReceived;

    /// <summary>Bytes, microseconds, segments.</summary>
    public uint Pmtu, RcvSsthresh, Rtt, RttVar, SndSsthresh, SndCwnd, AdvMss, Reordering, RcvRtt, RcvSpace, TotalRetransmits;

    /// <summary>Bytes per second, bytes.</summary>
    public ulong PacingRate, MaxPacingRate, BytesAcked, BytesReceived;

    /// <summary>Segments, bytes, microseconds.</summary>
    public uint SegsOut, SegsIn, NotSentBytes, MinRtt, DataSegsIn, DataSegsOut;

    /// <summary>Bytes per second; microseconds.</summary>
    public ulong DeliveryRate, BusyTime, RwndLimited, SndbufLimited;

    /// <summary>Segments.</summary>
    public uint Delivered, DeliveredCe;

    /// <summary>Bytes.</summary>
    public ulong BytesSent, BytesRetransmitted;

    /// <summary>Segments, bytes.</summary>
    public uint DsackDups, ReorderSeen, RcvOooPack, SndWnd;
}

/// <content>TCP_INFO.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>The state of a connection as Linux tells it. What is not measured here (busy times, segments out of order) is 0.</summary>
    public TcpInfo Info(Tcb* t)
    {
        const byte Timestamps = 1, Sack = 2, Scale = 4, Ecn = 8, SynData = 32;
        uint mss = t->Mss == 0 ? 536u : t->Mss;
        long since(long time) => time == 0 ? 0 : (Now - time) / 1000;
        TcpInfo i = default;
        i.State = (byte)t->State;
        i.CaState = (byte)t->CaState;
        i.Retransmits = t->State is TcpState.SynSent or TcpState.SynReceived ? t->SynRetries : t->Backoff;
        i.Probes = t->KeepProbes;
        i.Backoff = t->Backoff;
        i.Options = (byte)((t->IsFlag(TcbFlag.Timestamps) ? Timestamps : 0) | (t->IsFlag(TcbFlag.Sack) ? Sack : 0)
            | (t->IsFlag(TcbFlag.WindowScale) ? Scale : 0) | (t->IsFlag(TcbFlag.Ecn) ? Ecn : 0) | (IsSynDataTaken(t) ? SynData : 0));
        i.WindowScale = (byte)(t->SndScale | (t->RcvScale << 4));
        i.AppLimited = t->AppLimitedAt != 0 ? (byte)1 : (byte)0;
        i.Rto = (uint)(t->Rto << t->Backoff);
        i.Ato = (uint)DelayedAck;
        i.SndMss = mss;
        i.RcvMss = t->RcvMss;
        i.Unacked = t->State == TcpState.Listen ? t->Ready.Count + t->Held : Segments(t->SndNxt - t->SndUna);
        i.Sacked = t->State == TcpState.Listen ? t->Backlog : Segments(t->SackedBytes);
        i.Lost = Segments(t->LostBytes);
        i.Retrans = Segments(t->RetransBytes);
        i.LastDataSent = (uint)since(t->LastSent);
        i.LastDataReceived = (uint)since(t->LastDataReceived);
        i.LastAckReceived = (uint)since(t->LastAckReceived);
        i.Pmtu = t->RemotePort == 0 ? 0 : _stack.MtuTo(t->Remote);
        i.Rtt = (uint)t->Srtt;
        i.RttVar = (uint)t->RttVar;
        i.SndSsthresh = t->Ssthresh >= int.MaxValue ? int.MaxValue : Segments(t->Ssthresh);
        i.SndCwnd = Segments(t->Cwnd);
        i.AdvMss = t->RemotePort == 0 ? 0 : OwnMss(t->Remote, t->UserMss);
        i.Reordering = DupThresh;
        i.RcvRtt = (uint)t->RcvRtt;
        i.RcvSpace = t->RcvBuf;
        i.RcvSsthresh = t->RcvAdv - t->RcvNxt;
        i.TotalRetransmits = t->TotalRetransmits;
        i.PacingRate = t->PacingRate != 0 ? t->PacingRate : ulong.MaxValue;
        i.MaxPacingRate = t->MaxPacingRate != 0 ? t->MaxPacingRate : ulong.MaxValue;
        i.BytesAcked = t->BytesAcked;
        i.BytesReceived = t->BytesReceived;
        i.SegsOut = t->SegmentsOut;
        i.SegsIn = t->SegmentsIn;
        i.NotSentBytes = t->State is TcpState.Established or TcpState.CloseWait ? t->WriteSeq - t->SndNxt : 0;
        i.MinRtt = t->MinRtt == long.MaxValue ? uint.MaxValue : (uint)t->MinRtt;
        i.DataSegsIn = t->DataSegmentsIn;
        i.DataSegsOut = t->DataSegmentsOut;
        i.DeliveryRate = t->DeliveryRate;
        i.Delivered = t->DeliveredSegments;
        i.BytesSent = t->BytesSent + t->BytesRetransmitted;
        i.BytesRetransmitted = t->BytesRetransmitted;
        i.DsackDups = t->DsackDups;
        i.ReorderSeen = t->ReorderSeen;
        i.SndWnd = t->SndWnd;
        return i;

        uint Segments(uint bytes) => (bytes + mss - 1) / mss;
    }
}
