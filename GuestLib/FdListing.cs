using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib;

/// <summary>The open fds of a process, as its folder in /proc lists them. Works in a vfork child: touches nothing but its own stack.</summary>
internal unsafe ref struct FdListing
{
    private const int Room = 1024;
    private const int O_DIRECTORY = 0x10000;

    private readonly int _folder;
    private readonly bool _own;
    private int _at;
    private int _filled;
    private fixed byte _entries[Room];

    /// <summary>Opens the listing of "/proc/self/fd" (<paramref name="own"/>) or of another process's; end it with <see cref="Close"/>.</summary>
    internal FdListing(byte* path, bool own)
    {
        _folder = open(path, O_DIRECTORY | Abi.O_CLOEXEC, 0);
        _own = own;
        _at = 0;
        _filled = 0;
    }

    [RuntimeImport("*", "open"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int open(byte* path, int flags, int mode);

    [RuntimeImport("*", "getdents64"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern nint getdents64(int fd, void* buffer, nuint length);

    [RuntimeImport("*", "fstatat"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int fstatat(int folder, byte* name, Stat* stat, int flags);

    internal readonly bool IsOpen => _folder >= 0;

    /// <summary>The next fd that is a socket, with its inode; false at the end.</summary>
    internal bool TryNextSocket(out int fd, out ulong inode)
    {
        bool any;
        Stat stat;
        while ((any = TryNext(out fd, out stat)) && !stat.IsSocket)
        {
        }

        inode = stat.Inode;
        return any;
    }

    /// <summary>The next fd; false at the end.</summary>
    internal bool TryNext(out int fd, out Stat stat)
    {
        stat = default;
        fixed (byte* entries = _entries)
        {
            while (true)
            {
                if (_at >= _filled)
                {
                    _at = 0;
                    _filled = _folder < 0 ? 0 : (int)getdents64(_folder, entries, Room);
                    if (_filled <= 0)
                    {
                        fd = -1;
                        return false;
                    }
                }

                // struct linux_dirent64: inode, offset, length of the record (ushort at 16), type, name from byte 19 on (getdents(2)).
                byte* entry = entries + _at;
                _at += *(ushort*)(entry + 16);
                Stat read = default;
                if (TryParse(entry + 19, out fd) && (fd != _folder || !_own)
                    && (_own ? Libc.fstat(fd, &read) : fstatat(_folder, entry + 19, &read, 0)) == 0)
                {
                    stat = read;
                    return true;
                }
            }
        }
    }

    internal readonly void Close()
    {
        if (_folder >= 0)
        {
            _ = Real.close(_folder);
        }
    }

    private static bool TryParse(byte* name, out int number)
    {
        number = 0;
        for (; *name is >= (byte)'0' and <= (byte)'9'; name++)
        {
            number = (number * 10) + (*name - '0');
        }

        return *name == 0;
    }
}
