using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>Names with underscores under which the libc exports the same calls, and old calls that bind inside the libc (bindresvport(3), rcmd(3)).</summary>
internal static unsafe class Aliases
{
    private const int Reserved = 1024, LeastReserved = 512, FirstTried = 600;

    [RuntimeExport("__read")]
    public static nint Read(int fd, void* buffer, nuint length) => Data.Read(fd, buffer, length);

    [RuntimeExport("__write")]
    public static nint Write(int fd, void* buffer, nuint length) => Data.Write(fd, buffer, length);

    [RuntimeExport("__send")]
    public static nint Send(int fd, void* buffer, nuint length, int flags) => Data.Send(fd, buffer, length, flags);

    [RuntimeExport("__connect")]
    public static int Connect(int fd, byte* address, uint length) => Sockets.Connect(fd, address, length);

    [RuntimeExport("__close")]
    public static int Close(int fd) => Lifecycle.Close(fd);

    [RuntimeExport("__dup2")]
    public static int Dup2(int from, int to) => Lifecycle.Dup2(from, to);

    [RuntimeExport("__fcntl")]
    public static int Fcntl(int fd, int command, nint argument) => Lifecycle.Fcntl(fd, command, argument);

    [RuntimeExport("__poll")]
    public static int Poll(PollFd* fds, nuint count, int timeout) => Waits.Poll(fds, count, timeout);

    [RuntimeExport("__select")]
    public static int Select(int count, ulong* read, ulong* write, ulong* except, TimeVal* timeout) => Waits.Select(count, read, write, except, timeout);

    /// <summary>Binds to a free port below 1024; <paramref name="address"/> (a struct sockaddr_in, or null) is told which.</summary>
    [RuntimeExport("bindresvport")]
    public static int BindReserved(int fd, byte* address)
    {
        byte* own = stackalloc byte[16];
        *(ulong*)own = Abi.AF_INET;
        *(ulong*)(own + 8) = 0;
        address = address == null ? own : address;
        if (*(ushort*)address != Abi.AF_INET)
        {
            return Libc.Fail(Abi.EAFNOSUPPORT);
        }

        int port = FirstTried + (Libc.getpid() % (Reserved - FirstTried));
        return TryPorts(fd, address, 16, ref port, LeastReserved, +1) ? 0 : -1;
    }

    /// <summary>A stream socket on a free port below 1024, searched downwards from <paramref name="port"/>, which is told where it ended.</summary>
    [RuntimeExport("rresvport")]
    public static int ReservedSocket(int* port) => ReservedSocketOf(port, Abi.AF_INET);

    [RuntimeExport("rresvport_af")]
    public static int ReservedSocketOf(int* port, ushort family)
    {
        if (family is not (Abi.AF_INET or Abi.AF_INET6))
        {
            return Libc.Fail(Abi.EAFNOSUPPORT);
        }

        int fd = Lifecycle.Socket(family, Abi.SOCK_STREAM, 0);
        if (fd < 0)
        {
            return -1;
        }

        byte* any = stackalloc byte[28];
        uint length = Addresses.Format(family, 0, 0, 0, any);
        *port = *port < LeastReserved ? LeastReserved : *port >= Reserved ? Reserved - 1 : *port;
        if (TryPorts(fd, any, length, ref *port, LeastReserved, -1))
        {
            return fd;
        }

        int errno = Libc.Errno;
        _ = Lifecycle.Close(fd);
        return Libc.Fail(errno == Abi.EADDRINUSE ? Abi.EAGAIN : errno);
    }

    /// <summary>Binds to the first port that nobody has, once around the range; false with errno.</summary>
    private static bool TryPorts(int fd, byte* address, uint length, ref int port, int least, int step)
    {
        for (int tries = 0; tries < Reserved - least; tries++)
        {
            *(ushort*)(address + 2) = Addresses.Swap((ushort)port);
            if (Sockets.Bind(fd, address, length) == 0)
            {
                return true;
            }

            if (Libc.Errno != Abi.EADDRINUSE)
            {
                return false;
            }

            port += step;
            port = port < least ? Reserved - 1 : port >= Reserved ? least : port;
        }

        Libc.Errno = Abi.EADDRINUSE;
        return false;
    }
}
