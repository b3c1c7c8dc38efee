using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;

namespace NetKernel.CoreEngine.Control;

/// <summary>libc calls of the control thread that the channel does not need.</summary>
internal static unsafe class Native
{
    public const int O_RDWR = 2, O_WRONLY = 1, O_CREAT = 0x40, O_TRUNC = 0x200, F_SETFL = 4, SysPidfdOpen = 434;

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int OpenFile(byte* path, int flags, uint mode);

    [DllImport("libc", EntryPoint = "umask")]
    public static extern uint UMask(uint mask);

    /// <summary>open(2); negative errno on failure.</summary>
    public static int Open(string path, int flags, uint mode = 0)
    {
        fixed (byte* text = System.Text.Encoding.UTF8.GetBytes(path + "\0"))
        {
            int fd = OpenFile(text, flags, mode);
            return fd >= 0 ? fd : -Marshal.GetLastPInvokeError();
        }
    }

    /// <summary>The inode of a process's network namespace, or 0 when it cannot be read.</summary>
    public static ulong NamespaceOf(int pid) => InodeIn($"/proc/{pid}/ns/net", "net:");

    /// <summary>The inode of the socket that an fd of this process is, or 0 when it is none.</summary>
    public static ulong SocketOf(int fd) => InodeIn($"/proc/self/fd/{fd}", "socket:");

    /// <summary>The inodes of all sockets that a process has open; null when that cannot be read.</summary>
    public static HashSet<ulong>? SocketsOf(int pid)
    {
        try
        {
            var inodes = new HashSet<ulong>();
            foreach (string link in Directory.EnumerateFileSystemEntries($"/proc/{pid}/fd"))
            {
                _ = inodes.Add(InodeIn(link, "socket:"));
            }

            _ = inodes.Remove(0);
            return inodes;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The inode number in a link of /proc, as "socket:[123]", or 0.</summary>
    private static ulong InodeIn(string link, string kind)
    {
        try
        {
            string? target = new FileInfo(link).LinkTarget;
            if (target?.StartsWith(kind, StringComparison.Ordinal) != true)
            {
                return 0;
            }

            int open = target.IndexOf('[', StringComparison.Ordinal);
            return open >= 0 && ulong.TryParse(target.AsSpan(open + 1).TrimEnd(']'), out ulong inode) ? inode : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>
    /// A write end of a pipe that is CoreEngine's own: the guest shares the file description of the fd that it passed and could make it
    /// blocking again. Takes <paramref name="fd"/> over; negative errno when it is no pipe.
    /// </summary>
    public static int OwnPipe(int fd)
    {
        string path = $"/proc/self/fd/{fd}";
        string? target = null;
        try
        {
            target = new FileInfo(path).LinkTarget;
        }
        catch (IOException)
        {
        }

        int own = -Channel.Host.Libc.EINVAL;
        if (target != null && target.StartsWith("pipe:", StringComparison.Ordinal))
        {
            own = Open(path, O_WRONLY | Channel.Host.Libc.O_NONBLOCK | Channel.Host.Libc.O_CLOEXEC);
            if (own == -Channel.Host.Libc.EACCES)
            {
                // Without privileges another user's pipe cannot be opened again; then the two are trusted as far as the user trusts them.
                _ = Channel.Host.Libc.Fcntl(fd, F_SETFL, Channel.Host.Libc.O_NONBLOCK);
                return fd;
            }
        }

        _ = Channel.Host.Libc.Close(fd);
        return own;
    }
}
