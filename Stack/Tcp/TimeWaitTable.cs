using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>What is remembered of a connection in TIME-WAIT.</summary>
internal unsafe struct TimeWait
{
    public TimeWait* HashNext, Older, Younger;
    public Address Local, Remote;
    public long Ends;
    public uint Hash, SndNxt, RcvNxt, RcvWnd, TsRecent, TsOffset;
    public ushort LocalPort, RemotePort;
    public bool Timestamps;
    public byte Tos;
}

/// <summary>
/// Connections in TIME-WAIT (RFC 9293, 3.6), 128 bytes each: a busy server has more of them than connections. All wait equally long, so one list in the order of
/// their ends is their timer.
/// </summary>
internal sealed unsafe class TimeWaitTable : IDisposable
{
    private readonly Slab _entries;
    private readonly TimeWait** _buckets;
    private readonly uint _mask;
    private readonly RandomSource _random;
    private TimeWait* _oldest, _youngest;

    public TimeWaitTable(uint limit, RandomSource random)
    {
        _random = random;
        _entries = new Slab(sizeof(TimeWait), limit, perSlab: 512);
        _mask = System.Numerics.BitOperations.RoundUpToPowerOf2(limit) - 1;
        _buckets = (TimeWait**)NativeMemory.AllocZeroed(_mask + 1, (nuint)sizeof(TimeWait*));
    }

    public uint Count => _entries.Count;

    /// <summary>When the oldest ends; <see cref="long.MaxValue"/>: there is none.</summary>
    public long NextEnd => _oldest == null ? long.MaxValue : _oldest->Ends;

    /// <summary>An entry; when there are too many, in place of the oldest.</summary>
    public TimeWait* Add(in Address local, in Address remote, ushort localPort, ushort remotePort, long ends)
    {
        TimeWait* w = (TimeWait*)_entries.Take();
        if (w == null)
        {
            if (_oldest == null)
            {
                return null;
            }

            Remove(_oldest);
            w = (TimeWait*)_entries.Take();
        }

        *w = default;
        w->Local = local;
        w->Remote = remote;
        w->LocalPort = localPort;
        w->RemotePort = remotePort;
        w->Hash = _random.TableHash(local, remote, localPort, remotePort);
        w->HashNext = _buckets[w->Hash & _mask];
        _buckets[w->Hash & _mask] = w;
        Append(w, ends);
        return w;
    }

    public TimeWait* Find(in Address local, in Address remote, ushort localPort, ushort remotePort)
    {
        if (_oldest == null)
        {
            return null;
        }

        uint hash = _random.TableHash(local, remote, localPort, remotePort);
        TimeWait* w = _buckets[hash & _mask];
        while (w != null && (w->Hash != hash || w->RemotePort != remotePort || w->LocalPort != localPort || w->Remote != remote || w->Local != local))
        {
            w = w->HashNext;
        }

        return w;
    }

    /// <summary>Begins the wait anew (the peer's FIN came again).</summary>
    public void Restart(TimeWait* w, long ends)
    {
        Unlink(w);
        Append(w, ends);
    }

    public void Remove(TimeWait* w)
    {
        Unlink(w);
        TimeWait** at = &_buckets[w->Hash & _mask];
        while (*at != w)
        {
            at = &(*at)->HashNext;
        }

        *at = w->HashNext;
        _entries.Give(w);
    }

    public void Expire(long now)
    {
        while (_oldest != null && _oldest->Ends <= now)
        {
            Remove(_oldest);
        }
    }

    public void Dispose()
    {
        _entries.Dispose();
        NativeMemory.Free(_buckets);
    }

    private void Append(TimeWait* w, long ends)
    {
        w->Ends = ends;
        w->Younger = null;
        w->Older = _youngest;
        if (_youngest != null)
        {
            _youngest->Younger = w;
        }
        else
        {
            _oldest = w;
        }

        _youngest = w;
    }

    private void Unlink(TimeWait* w)
    {
        if (w->Older != null)
        {
            w->Older->Younger = w->Younger;
        }
        else
        {
            _oldest = w->Younger;
        }

        if (w->Younger != null)
        {
            w->Younger->Older = w->Older;
        }
        else
        {
            _youngest = w->Older;
        }
    }
}
