using System;
using System.ComponentModel;
using System.Text;

namespace NetKernel.Channel.Host;

/// <summary>A memfd mapped into this process: created, sized and sealed, or received from another process.</summary>
public sealed unsafe class SharedRegion : IDisposable
{
    private SharedRegion(int fd, byte* start, ulong length, bool huge)
    {
        Fd = fd;
        Start = start;
        Length = length;
        IsHuge = huge;
    }

    /// <summary>The memfd; stays open as long as this object.</summary>
    public int Fd { get; private set; }

    /// <summary>Where the mapping starts; null when nothing is mapped.</summary>
    public byte* Start { get; private set; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>Whether it lies in reserved huge pages.</summary>
    public bool IsHuge { get; }

    /// <summary>
    /// Makes a region whose size can never change again (F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL), so that no peer can take pages away under a reader.
    /// With <paramref name="huge"/> it is tried in 2 MB pages first, and falls back to ordinary ones. With <paramref name="map"/> false nothing is mapped here.
    /// </summary>
    /// <exception cref="Win32Exception">The system refused; the message says what.</exception>
    public static SharedRegion Create(string name, ulong length, bool huge = false, bool map = true)
    {
        if (huge && TryCreate(name, length, hugePages: true, map) is { } region)
        {
            return region;
        }

        return TryCreate(name, length, hugePages: false, map) ?? throw Failure($"cannot make a shared region of {length} bytes");
    }

    /// <summary>Maps a received memfd, which this object then owns.</summary>
    /// <exception cref="Win32Exception">The system refused.</exception>
    public static SharedRegion Open(int fd, ulong length, bool writable = true)
    {
        nint address = Libc.Map(0, (nuint)length, writable ? Libc.PROT_READ | Libc.PROT_WRITE : Libc.PROT_READ, Libc.MAP_SHARED, fd, 0);
        return address == -1 ? throw Failure($"cannot map a shared region of {length} bytes") : new SharedRegion(fd, (byte*)address, length, huge: false);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Start != null)
        {
            _ = Libc.Unmap((nint)Start, (nuint)Length);
            Start = null;
        }

        if (Fd >= 0)
        {
            _ = Libc.Close(Fd);
            Fd = -1;
        }
    }

    private static SharedRegion? TryCreate(string name, ulong length, bool hugePages, bool map)
    {
        int fd;
        fixed (byte* text = Encoding.UTF8.GetBytes(name + "\0"))
        {
            fd = Libc.MemfdCreate(text, (uint)(Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING | (hugePages ? Libc.MFD_HUGETLB : 0)));
        }

        if (fd < 0)
        {
            return null;
        }

        nint address = 0;
        if (Libc.Truncate(fd, (long)length) != 0
            || Libc.Fcntl(fd, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL) != 0)
        {
            _ = Libc.Close(fd);
            return null;
        }

        // Huge pages are reserved by mapping: the proof that there are enough, even if nobody here looks inside.
        if (map || hugePages)
        {
            address = Libc.Map(0, (nuint)length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, fd, 0);
            if (address == -1)
            {
                _ = Libc.Close(fd);
                return null;
            }

            if (!map)
            {
                _ = Libc.Unmap(address, (nuint)length);
                address = 0;
            }
        }

        return new SharedRegion(fd, (byte*)address, length, hugePages);
    }

    private static Win32Exception Failure(string what)
    {
        int errno = Libc.Errno;
        return new Win32Exception(errno, $"{what}: {Libc.Describe(errno)}");
    }
}
