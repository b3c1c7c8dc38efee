using System.Threading;

namespace NetKernel.CoreEngine.Control;

/// <summary>Which NSMs serve a guest, each with a part of its RX half.</summary>
internal sealed unsafe partial class Guest
{
    private readonly uint[] _freed = new uint[GuestPort.MaxOwn];
    private uint _frees;

    /// <summary>The first of its NSMs, by their parts of its RX half; 0: none.</summary>
    public uint NsmId => Array.Find(Own, id => id != 0);

    /// <summary>Several NSMs may serve it at a time.</summary>
    public bool HasParts { get; }

    /// <summary>Ids of the NSMs that serve it, by their parts of its RX half; 0: free.</summary>
    public uint[] Own { get; } = new uint[GuestPort.MaxOwn];

    /// <summary>That part's NSM has been asked to let go.</summary>
    public bool[] Leaving { get; } = new bool[GuestPort.MaxOwn];

    /// <summary>The part of an NSM, or -1.</summary>
    public int PartOf(uint nsm) => nsm == 0 ? -1 : Array.IndexOf(Own, nsm);

    public bool Uses(uint nsm) => nsm == SharedId || PartOf(nsm) is >= 0 and var part && !Leaving[part];

    /// <summary>
    /// Takes a free part for an NSM: the one that has been free for longest, because processes may still read what an NSM that is gone has left in its part. Null: none is free.
    /// </summary>
    public int? TryTakePart(uint nsm)
    {
        int? best = null;
        for (int part = 0; part < Own.Length; part++)
        {
            if (Own[part] == 0 && (best is not { } other || _freed[part] < _freed[other]))
            {
                best = part;
            }
        }

        if (best is { } taken)
        {
            Own[taken] = nsm;
            Begin(taken);
        }

        return best;
    }

    public void FreePart(int part)
    {
        Own[part] = 0;
        Leaving[part] = false;
        _freed[part] = ++_frees;
    }

    /// <summary>An NSM is gone: when it is back it gets another part, if one is free, so that what the guest has not read yet is read.</summary>
    public void ChangePart(uint nsm)
    {
        int part = PartOf(nsm);
        if (HasParts && TryTakePart(nsm) is not null)
        {
            FreePart(part);
        }
        else
        {
            Begin(part);
        }
    }

    /// <summary>An NSM is about to write in a part: what lies there for sockets made known before is void.</summary>
    private void Begin(int part)
    {
        uint epoch = Header->NsmEpoch + 1;
        Volatile.Write(ref Header->RxEpochs[part], epoch);
        Volatile.Write(ref Header->NsmEpoch, epoch); // Release: whoever sees it sees the part's.
    }
}
