using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>struct tcp_info (linux/tcp.h), as of Linux 6.7; docs/mtcp.md says of each field what it is here.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public struct TcpInfo
{
    /// <summary>Bytes.</summary>
    public const int Length = 248;

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

    /// <summary>Bytes, times.</summary>
    public uint RcvWnd, Rehash;

    /// <summary>Timeouts, recoveries after timeouts that have ended, milliseconds in them.</summary>
    public ushort TotalRto, TotalRtoRecoveries;

    /// <summary>See <see cref="TotalRto"/>.</summary>
    public uint TotalRtoTime;
}

/// <content>TCP_INFO.</content>
public sealed unsafe partial class TcpLayer
{
    /// <summary>The state of a connection as Linux tells it.</summary>
    public TcpInfo Info(Tcb* t)
    {
        const byte Timestamps = 1, Sack = 2, Scale = 4, Ecn = 8, EcnSeen = 16, SynData = 32;
        uint mss = t->Mss == 0 ? 536u : t->Mss;
        long since(long time) => time == 0 ? 0 : (Now - time) / 1000;
        TcpInfo i = default;
        i.State = (byte)t->State;
        i.CaState = (byte)t->CaState;
        i.Retransmits = t->State is TcpState.SynSent or TcpState.SynReceived ? t->SynRetries : t->Backoff;
        i.Probes = t->KeepProbes;
        i.Backoff = t->Backoff;
        i.Options = (byte)((t->IsFlag(TcbFlag.Timestamps) ? Timestamps : 0) | (t->IsFlag(TcbFlag.Sack) ? Sack : 0)
            | (t->IsFlag(TcbFlag.WindowScale) ? Scale : 0) | (t->IsFlag(TcbFlag.Ecn) ? Ecn : 0) | (t->EctSeen != 0 ? EcnSeen : 0) | (IsSynDataTaken(t) ? SynData : 0));
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
        i.Reordering = t->Reordering;
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
        long phase = t->PhaseSince == 0 ? 0 : Now - t->PhaseSince;
        i.RwndLimited = (ulong)(t->WindowTime + (t->Phase == SendPhase.Window ? phase : 0));
        i.BusyTime = i.RwndLimited + (ulong)(t->BusyTime + (t->Phase == SendPhase.Busy ? phase : 0));
        i.Delivered = t->DeliveredSegments;
        i.DeliveredCe = t->DeliveredCeSegments;
        i.BytesSent = t->BytesSent + t->BytesRetransmitted;
        i.BytesRetransmitted = t->BytesRetransmitted;
        i.DsackDups = t->DsackDups;
        i.ReorderSeen = t->ReorderSeen;
        i.RcvOooPack = t->OutOfOrderSegments;
        i.SndWnd = t->SndWnd;
        i.RcvWnd = t->RcvAdv - t->RcvNxt;
        i.TotalRto = t->Timeouts;
        i.TotalRtoRecoveries = t->TimeoutRecoveries;
        i.TotalRtoTime = t->TimeoutRecoveryTime + (uint)since(t->LossSince);
        return i;

        uint Segments(uint bytes) => (bytes + mss - 1) / mss;
    }

    /// <summary>From now on sending does that.</summary>
    private void Turn(Tcb* t, SendPhase phase)
    {
        if (t->Phase == phase)
        {
            return;
        }

        long spent = Now - t->PhaseSince;
        t->BusyTime += t->Phase == SendPhase.Busy ? spent : 0;
        t->WindowTime += t->Phase == SendPhase.Window ? spent : 0;
        t->Phase = phase;
        t->PhaseSince = Now;
    }

    /// <summary>What was lost by timeouts has been recovered, or had not been lost.</summary>
    private void EndTimeouts(Tcb* t)
    {
        if (t->LossSince != 0)
        {
            t->TimeoutRecoveries++;
            t->TimeoutRecoveryTime += (uint)((Now - t->LossSince) / 1000);
            t->LossSince = 0;
        }
    }
}
