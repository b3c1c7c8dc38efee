using System.Collections.Generic;
using System.Globalization;
using System.IO;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>
/// Notices when the kernel has dropped the last reference to a file, wherever the references are: in processes, or in messages that nobody has received.
/// The file is put into an epoll set, which holds no reference to it and from which it vanishes with the last one; what the set still has
/// is read in /proc/self/fdinfo. Nobody ever waits on that set.
/// </summary>
internal sealed unsafe class ExportWatch : IDisposable
{
    private const int ShortestMs = 5;
    private const int LongestMs = 500;

    private readonly int _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private readonly Dictionary<ulong, Entry> _entries = [];
    private readonly HashSet<ulong> _inodes = [];
    private ulong _next = 1;
    private int _interval;
    private long _due = long.MaxValue;

    /// <summary>A socket that is watched.</summary>
    public readonly record struct Entry(Guest Guest, uint Socket, ulong Inode);

    /// <summary>How long the control thread may sleep.</summary>
    public int TimeoutMs => _due == long.MaxValue ? -1 : (int)Math.Clamp(_due - Environment.TickCount64, 0, LongestMs);

    /// <summary>Whether it is time to look again.</summary>
    public bool IsDue => Environment.TickCount64 >= _due;

    /// <summary>Whether anything is watched.</summary>
    public bool IsEmpty => _entries.Count == 0;

    /// <summary>
    /// Watches a socket's file; <paramref name="fd"/> stays the caller's. A file that cannot be watched counts as gone. False when it is watched already.
    /// </summary>
    public bool TryAdd(Guest guest, uint socket, ulong inode, int fd)
    {
        if (!_inodes.Add(inode))
        {
            return false;
        }

        Libc.EpollEvent e = new() { Events = 1u << 30, Data = _next }; // EPOLLONESHOT
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, fd, &e);
        _entries.Add(_next++, new Entry(guest, socket, inode));
        return true;
    }

    /// <summary>Whether a guest's socket is watched.</summary>
    public bool Watches(ulong inode) => _inodes.Contains(inode);

    /// <summary>Takes those out whose files are gone.</summary>
    public List<Entry> TakeGone()
    {
        var gone = new Dictionary<ulong, Entry>(_entries);
        foreach (string line in File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{_epoll}")))
        {
            // tfd:        5 events: 40000000 data:                1  pos:0 ino:31f sdev:8
            const string Field = "data:";
            int at = line.IndexOf(Field, StringComparison.Ordinal);
            int end = line.IndexOf(" pos:", StringComparison.Ordinal);
            if (at > 0 && end > at && ulong.TryParse(line.AsSpan(at + Field.Length, end - at - Field.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong key))
            {
                _ = gone.Remove(key);
            }
        }

        foreach ((ulong key, Entry entry) in gone)
        {
            _ = _entries.Remove(key);
            _ = _inodes.Remove(entry.Inode);
        }

        return [.. gone.Values];
    }

    /// <summary>Everything that is watched.</summary>
    public Dictionary<ulong, Entry>.ValueCollection Entries => _entries.Values;

    /// <summary>The guest is gone.</summary>
    public void Forget(Guest guest)
    {
        foreach ((ulong key, Entry entry) in new Dictionary<ulong, Entry>(_entries))
        {
            if (entry.Guest == guest)
            {
                _ = _entries.Remove(key); // its line in the set is nobody's from now on, and goes with its file
                _ = _inodes.Remove(entry.Inode);
            }
        }
    }

    /// <summary>Something waits for the end of its file: look soon, and ever more rarely.</summary>
    public void LookAgain(bool soon)
    {
        _interval = soon ? ShortestMs : Math.Min(_interval * 2, LongestMs);
        _due = Environment.TickCount64 + _interval;
    }

    /// <summary>Nothing waits.</summary>
    public void Rest() => _due = long.MaxValue;

    public void Dispose() => _ = Libc.Close(_epoll);
}
