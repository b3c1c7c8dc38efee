using System.Runtime.InteropServices;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>
/// TCP_INFO as far as it is true here (struct tcp_info of linux/tcp.h): state and byte counts. There are no segments, no round trips and no losses: those fields are 0, and
/// that is how a program can tell.
/// </summary>
internal static unsafe class ConnectionInfo
{
    private const int Length = 232, SndMss = 16, RcvMss = 20, PathMtu = 60, BytesAcked = 120, BytesReceived = 128, NotSent = 144;
    private const byte Established = 1, SynSent = 2, FinWait2 = 5, Close = 7, CloseWait = 8, LastAck = 9, Listen = 10;

    /// <summary>Writes as much as there is room for; returns how much.</summary>
    public static uint Write(SharedSocket* s, byte* value, uint room)
    {
        byte* info = stackalloc byte[Length];
        NativeMemory.Clear(info, Length);
        info[0] = StateOf(s);
        *(uint*)(info + SndMss) = 65483;
        *(uint*)(info + RcvMss) = 65483;
        *(uint*)(info + PathMtu) = 65535;
        *(ulong*)(info + BytesAcked) = s->BytesSent;
        *(ulong*)(info + BytesReceived) = s->BytesReceived;
        Connection* c = s->Self;
        uint waiting = 0;
        for (uint i = 0; i < c->SendCount; i++)
        {
            waiting += c->SendAt(c->SendHead + i).Size;
        }

        *(uint*)(info + NotSent) = waiting;
        uint length = room < Length ? room : Length;
        Buffer.MemoryCopy(info, value, room, length);
        return length;
    }

    private static byte StateOf(SharedSocket* s)
    {
        bool ended = s->Self->Has(ConnectionFlags.EndTold);
        bool shut = s->Has(SharedFlags.ShutdownDone);
        return s->Phase switch
        {
            Phase.Listening => Listen,
            Phase.Waiting => SynSent,
            Phase.Connected when s->Error != 0 || s->Self->Has(ConnectionFlags.ResetTold) || (ended && shut) => Close,
            Phase.Connected when ended => s->Has(SharedFlags.ShutdownWanted) ? LastAck : CloseWait,
            Phase.Connected when shut => FinWait2,
            Phase.Connected => Established,
            _ => Close,
        };
    }
}
