using System.Threading;
using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <summary>
/// What the stack knows of its TCP connections, put where others read it. A connection is measured once a round, when it has something to do anyway, and at its end: an idle
/// connection costs nothing, and has nothing new to tell.
/// </summary>
public sealed unsafe partial class StackHost
{
    private const int IPPROTO_TCP = 6, TCP_INFO = 11;

    // struct tcp_info of linux/tcp.h, which never changes but at its end.
    private const uint InfoBytes = 104;
    private const int RttAt = 68, RetransmitsAt = 100;

    /// <summary>The stack counts what it drops where others read it.</summary>
    private void CountDrops()
    {
        if (_measures is { } measures && measures.Drops(_shard) is var counters && counters != null)
        {
            _stack.CountDropsAt(counters);
        }
    }

    private void MeasureIfDue(Connection* c)
    {
        if (_measures is not null && c->MeasuredRound != Volatile.Read(ref _measures.Header->Round))
        {
            Measure(c);
        }
    }

    private void Measure(Connection* c)
    {
        if (_measures is not { } measures || c->SocketError != 0)
        {
            return;
        }

        c->MeasuredRound = Volatile.Read(ref measures.Header->Round);
        byte* info = stackalloc byte[(int)InfoBytes];
        if (_stack.GetOption(c, IPPROTO_TCP, TCP_INFO, info, InfoBytes, out uint length) != 0 || length < InfoBytes)
        {
            return; // no TCP
        }

        uint rtt = *(uint*)(info + RttAt);
        uint retransmits = *(uint*)(info + RetransmitsAt);
        GuestMeasures* guest = measures.Guest(c->GuestId);
        if (guest == null)
        {
            return;
        }

        // Other threads of this NSM may count for the same guest.
        if (retransmits > c->Retransmits)
        {
            _ = Interlocked.Add(ref guest->Retransmits, retransmits - c->Retransmits);
        }

        c->Retransmits = retransmits;
        if (rtt != 0)
        {
            _ = Interlocked.Add(ref guest->RttMicroseconds, rtt);
            _ = Interlocked.Increment(ref guest->RttSamples);
        }
    }

    /// <summary>A connection begins: there is nothing to be measured in this round yet.</summary>
    private void BeginMeasures(Connection* c)
    {
        if (_measures is { } measures)
        {
            c->MeasuredRound = Volatile.Read(ref measures.Header->Round);
        }
    }
}
