using System.ComponentModel;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.SharedMem;

/// <summary>
/// The regions that pairs of guests share for the direct form. The stack makes them, with the first connection of a pair that may have one; the control thread hands them to the guests'
/// processes. Both under a lock: neither happens often.
/// </summary>
public sealed unsafe class DirectRegions
{
    private readonly DirectRegion?[] _regions = new DirectRegion?[DirectLayout.Pairs];
    private readonly uint[] _lives = new uint[DirectLayout.Pairs];
    private readonly object _lock = new();

    /// <summary>The region of two guests, made now if they have none; null when there is no memory for one, or too many pairs have.</summary>
    internal DirectRegion? Of(uint one, uint other)
    {
        uint first = Math.Min(one, other), second = Math.Max(one, other);
        lock (_lock)
        {
            int free = -1;
            for (int i = 0; i < _regions.Length; i++)
            {
                if (_regions[i] is not { } region)
                {
                    free = free < 0 ? i : free;
                }
                else if (region.First == first && region.Second == second && !region.IsOver)
                {
                    return region;
                }
            }

            return free < 0 ? null : Make((uint)free, first, second);
        }
    }

    /// <summary>A guest goes: its regions end with their last connection. Its peers may hold what is left in them mapped.</summary>
    internal void Remove(uint guest)
    {
        lock (_lock)
        {
            foreach (DirectRegion? region in _regions)
            {
                if (region != null && (region.First == guest || region.Second == guest))
                {
                    region.IsOver = true;
                    FreeIfOver(region);
                }
            }
        }
    }

    /// <summary>One connection less.</summary>
    internal void GiveBack(uint index, uint connection)
    {
        lock (_lock)
        {
            DirectRegion region = _regions[index]!;
            region.GiveBack(connection);
            FreeIfOver(region);
        }
    }

    /// <summary>The memfd of a region that the guest is a side of, for the caller to close; -1: it is not, or there is none.</summary>
    public int Open(uint place, uint guest)
    {
        uint index = DirectPlace.IndexOf(place);
        lock (_lock)
        {
            return index < _regions.Length && _regions[index] is { IsOver: false } region && region.Place == place && (region.First == guest || region.Second == guest)
                ? Libc.Fcntl(region.Memory.Fd, DupCloseOnExec, 0)
                : -1;
        }
    }

    private const int DupCloseOnExec = 1030; // F_DUPFD_CLOEXEC

    private DirectRegion? Make(uint index, uint first, uint second)
    {
        try
        {
            SharedRegion memory = SharedRegion.Create("nk-direct", DirectLayout.Length);
            _lives[index] = (_lives[index] & 0x7FFF) + 1;
            return _regions[index] = new DirectRegion(memory, DirectPlace.Region(index, _lives[index]), first, second);
        }
        catch (Win32Exception)
        {
            return null; // connections go by copies, as without a region
        }
    }

    private void FreeIfOver(DirectRegion region)
    {
        if (region.IsOver && region.Taken == 0)
        {
            _regions[DirectPlace.IndexOf(region.Place)] = null;
            region.Memory.Dispose();
        }
    }
}

/// <summary>The region of one pair, and which of its connections are in use. The stack's thread alone takes and gives back.</summary>
internal sealed unsafe class DirectRegion(SharedRegion memory, uint place, uint first, uint second)
{
    private readonly bool[] _used = new bool[DirectLayout.Connections];
    private uint _next;

    /// <summary>The memory, mapped.</summary>
    public SharedRegion Memory { get; } = memory;

    /// <summary>Its name towards guests.</summary>
    public uint Place { get; } = place;

    /// <summary>The guests: the lower id is side 0.</summary>
    public uint First { get; } = first;

    /// <summary>Side 1.</summary>
    public uint Second { get; } = second;

    /// <summary>Connections in use.</summary>
    public uint Taken { get; private set; }

    /// <summary>One of its guests is gone.</summary>
    public bool IsOver { get; set; }

    /// <summary>A connection's two ends.</summary>
    public DirectEnd* EndsOf(uint connection) => (DirectEnd*)(Memory.Start + DirectLayout.EndsOf(connection));

    /// <summary>Takes the connection that has been free for longest, roughly: a program that uses a socket which another of its threads closes must not find the next one's ring.</summary>
    public bool TryTake(out uint connection)
    {
        for (uint i = 0; i < DirectLayout.Connections; i++)
        {
            connection = _next;
            _next = (_next + 1) % DirectLayout.Connections;
            if (!_used[connection])
            {
                _used[connection] = true;
                Taken++;
                new Span<byte>(EndsOf(connection), (int)DirectLayout.EndsBytes).Clear();
                return true;
            }
        }

        connection = 0;
        return false;
    }

    /// <summary>The connection is free again. The memory of all goes back to the system when none is left.</summary>
    public void GiveBack(uint connection)
    {
        const int SysMadvise = 28, MadvRemove = 9;
        _used[connection] = false;
        if (--Taken == 0)
        {
            ulong rings = DirectLayout.RingOf(0, 0);
            _ = Libc.Syscall(SysMadvise, (nint)(Memory.Start + rings), (nint)(DirectLayout.Length - rings), MadvRemove, 0, 0, 0);
        }
    }
}
