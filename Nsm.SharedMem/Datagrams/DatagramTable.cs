using System.Runtime.InteropServices;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>Datagram sockets that have a port, by guest and port; the newest of a port comes first.</summary>
internal sealed unsafe class DatagramTable
{
    private const uint Buckets = 1 << 14;
    private readonly SharedSocket** _buckets = (SharedSocket**)NativeMemory.AllocZeroed(Buckets, (nuint)sizeof(SharedSocket*));

    /// <summary>Enters a socket under its port.</summary>
    public void Add(SharedSocket* s)
    {
        SharedSocket** bucket = BucketOf(s->Self->GuestId, s->Local.Port);
        s->NextInTable = *bucket;
        *bucket = s;
        s->Set(SharedFlags.InTable);
    }

    /// <summary>Takes a socket out, if it is in.</summary>
    public void Remove(SharedSocket* s)
    {
        if (!s->Has(SharedFlags.InTable))
        {
            return;
        }

        s->Clear(SharedFlags.InTable);
        SharedSocket** at = BucketOf(s->Self->GuestId, s->Local.Port);
        while (*at != s)
        {
            at = &(*at)->NextInTable;
        }

        *at = s->NextInTable;
        s->NextInTable = null;
    }

    /// <summary>
    /// The guest's socket for a datagram; null: none. As the kernel chooses (compute_score): who is connected to the sender, then who is bound to that very address, then IPv4 for IPv4; of
    /// several that share a port (SO_REUSEPORT) the sender's address and port choose one, of others the newest has it.
    /// </summary>
    public SharedSocket* Find(uint guest, in Endpoint to, in Endpoint from)
    {
        uint takes = to.IsIPv4 ? SharedFlags.Takes4 : SharedFlags.Takes6;
        SharedSocket* first = *BucketOf(guest, to.Port);
        SharedSocket* best = null;
        int most = -1;
        uint sharing = 0;
        for (SharedSocket* s = first; s != null; s = s->NextInTable)
        {
            int score = Score(s, guest, to.Port, takes, in from);
            if (score > most)
            {
                best = s;
                most = score;
                sharing = 1;
            }
            else if (score == most && score >= 0)
            {
                sharing++;
            }
        }

        if (sharing < 2 || !best->Has(SharedFlags.Reuses))
        {
            return best;
        }

        uint chosen = Mix((uint)(from.High >> 32) ^ (uint)from.High, from.Port) % sharing;
        for (SharedSocket* s = first; s != null; s = s->NextInTable)
        {
            if (Score(s, guest, to.Port, takes, in from) == most && chosen-- == 0)
            {
                return s;
            }
        }

        return best;
    }

    /// <summary>How well a socket fits; -1: not at all.</summary>
    private static int Score(SharedSocket* s, uint guest, ushort port, uint takes, in Endpoint from)
    {
        if (s->Self->GuestId != guest || s->Local.Port != port || !s->Has(takes))
        {
            return -1;
        }

        int score = (s->Has(SharedFlags.Named) ? 2 : 0) + (s->Domain == Channel.Host.Libc.AF_INET ? 1 : 0);
        if (s->Phase != Phase.Connected)
        {
            return score;
        }

        return s->Remote.Port == from.Port && s->Remote.SameAddress(in from) ? score + 4 : -1;
    }

    private SharedSocket** BucketOf(uint guest, ushort port) => _buckets + (Mix(guest, port) & (Buckets - 1));

    private static uint Mix(uint a, uint b) => (uint)((((ulong)a << 32) | b) * 0x9E37_79B9_7F4A_7C15 >> 36);
}
