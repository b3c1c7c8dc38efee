using System.Runtime.InteropServices;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.SharedMem;

/// <summary>
/// Listeners by guest and port, and clients by their four numbers. The ports of clients are chosen from where Linux does not choose them by itself
/// (net.ipv4.ip_local_port_range begins at 32768 and ends at 60999), so that the same guest's connections through another NSM have others.
/// </summary>
internal sealed unsafe class PortTable
{
    private const uint Buckets = 1 << 15;
    private const uint UpperStart = 61000, UpperCount = 65536 - UpperStart, LowerStart = 10240, LowerCount = 32768 - LowerStart;
    private const uint Ports = UpperCount + LowerCount;

    private readonly SharedSocket** _listeners = (SharedSocket**)NativeMemory.AllocZeroed(Buckets, (nuint)sizeof(SharedSocket*));
    private readonly SharedSocket** _clients = (SharedSocket**)NativeMemory.AllocZeroed(Buckets, (nuint)sizeof(SharedSocket*));
    private uint _next;

    public PortTable(uint first) => _next = first % Ports;

    /// <summary>Enters a listener; the newest of a port comes first.</summary>
    public void AddListener(SharedSocket* s)
    {
        SharedSocket** bucket = _listeners + ListenerBucket(s->Self->GuestId, s->Local.Port);
        s->NextInTable = *bucket;
        *bucket = s;
    }

    /// <summary>Takes a listener out.</summary>
    public void RemoveListener(SharedSocket* s) => Unlink(_listeners + ListenerBucket(s->Self->GuestId, s->Local.Port), s);

    /// <summary>
    /// The listener of a guest for a client; null: nobody. Of several that share the port (SO_REUSEPORT) the client's port chooses one.
    /// </summary>
    public SharedSocket* FindListener(uint guest, in Endpoint address, ushort clientPort)
    {
        uint takes = address.IsIPv4 ? SharedFlags.Takes4 : SharedFlags.Takes6;
        SharedSocket* first = *(_listeners + ListenerBucket(guest, address.Port));
        uint sharing = 0;
        for (SharedSocket* s = first; s != null; s = s->NextInTable)
        {
            if (IsMatch(s, guest, address.Port, takes))
            {
                if (!s->Has(SharedFlags.Reuses))
                {
                    return s;
                }

                sharing++;
            }
        }

        uint chosen = sharing == 0 ? 0 : (clientPort * 2654435761u >> 8) % sharing;
        for (SharedSocket* s = first; s != null; s = s->NextInTable)
        {
            if (IsMatch(s, guest, address.Port, takes) && chosen-- == 0)
            {
                return s;
            }
        }

        return null;
    }

    /// <summary>Gives a client its port, unless it has one, and enters it; an errno.</summary>
    public int AddClient(SharedSocket* s)
    {
        bool choose = s->Local.Port == 0;
        for (uint tries = 0; tries < Ports; tries++)
        {
            if (choose)
            {
                s->Local.Port = (ushort)(_next < UpperCount ? UpperStart + _next : LowerStart + _next - UpperCount);
                _next = _next + 1 == Ports ? 0 : _next + 1;
            }

            SharedSocket** bucket = _clients + ClientBucket(s);
            if (!IsTaken(*bucket, s))
            {
                s->NextInTable = *bucket;
                *bucket = s;
                s->Set(SharedFlags.InTable);
                return 0;
            }

            if (!choose)
            {
                return SharedOptions.EADDRNOTAVAIL; // connect(2) of a bound socket to where one of that port is connected already
            }
        }

        s->Local.Port = 0;
        return SharedOptions.EADDRNOTAVAIL;
    }

    /// <summary>Takes a client out, if it is in.</summary>
    public void RemoveClient(SharedSocket* s)
    {
        if (s->Has(SharedFlags.InTable))
        {
            s->Clear(SharedFlags.InTable);
            Unlink(_clients + ClientBucket(s), s);
        }
    }

    private static bool IsMatch(SharedSocket* s, uint guest, ushort port, uint takes) => s->Self->GuestId == guest && s->Local.Port == port && s->Has(takes);

    private static bool IsTaken(SharedSocket* at, SharedSocket* s)
    {
        for (; at != null; at = at->NextInTable)
        {
            if (at->Local.Port == s->Local.Port && at->Remote.Port == s->Remote.Port && at->Self->GuestId == s->Self->GuestId
                && at->Remote.SameAddress(in s->Remote))
            {
                return true;
            }
        }

        return false;
    }

    private static void Unlink(SharedSocket** at, SharedSocket* s)
    {
        while (*at != s)
        {
            at = &(*at)->NextInTable;
        }

        *at = s->NextInTable;
        s->NextInTable = null;
    }

    private static uint ListenerBucket(uint guest, ushort port) => Mix(guest, port, 0);

    private static uint ClientBucket(SharedSocket* s) =>
        Mix(s->Self->GuestId, s->Local.Port | ((uint)s->Remote.Port << 16), (uint)(s->Remote.High >> 32) ^ (uint)s->Remote.High);

    private static uint Mix(uint a, uint b, uint c)
    {
        ulong x = (((ulong)a << 32) | b) * 0x9E37_79B9_7F4A_7C15 ^ (c * 0xC2B2_AE3D_27D4_EB4F);
        return (uint)(x >> 40) & (Buckets - 1);
    }
}
