using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// POSIX AIO (aio(7)): the C library reads and writes inside itself, on threads of its own, where a socket of ours is an unconnected one of the guest's kernel. A request for one is
/// refused, as where there is no such interface; requests for other files are the C library's.
/// </summary>
internal static unsafe class AsynchronousIo
{
    private const int LIO_NOP = 2, LIO_NOWAIT = 1, LIO_WAIT = 0, EIO = 5, ENOSYS = 38, MostAtOnce = 1024;

    /// <summary>struct aiocb of glibc on 64 bits, as far as it matters here; aio_error(3) and aio_return(3) read the last two.</summary>
    private struct AioCb
    {
        internal int Fd;
        internal int Operation;
        private fixed byte _request[104];
        internal int Error;
        internal nint Result;
    }

    [RuntimeExport("aio_read")]
    public static int Read(void* request) => One((AioCb*)request, "aio_read"u8);

    [RuntimeExport("aio_read64")]
    public static int Read64(void* request) => One((AioCb*)request, "aio_read64"u8);

    [RuntimeExport("aio_write")]
    public static int Write(void* request) => One((AioCb*)request, "aio_write"u8);

    [RuntimeExport("aio_write64")]
    public static int Write64(void* request) => One((AioCb*)request, "aio_write64"u8);

    [RuntimeExport("lio_listio")]
    public static int List(int mode, void** requests, int count, void* notification) => Several(mode, (AioCb**)requests, count, notification, "lio_listio"u8);

    [RuntimeExport("lio_listio64")]
    public static int List64(int mode, void** requests, int count, void* notification) => Several(mode, (AioCb**)requests, count, notification, "lio_listio64"u8);

    private static int One(AioCb* request, ReadOnlySpan<byte> name)
    {
        Real.Ensure();
        var real = (delegate* unmanaged[Cdecl]<void*, int>)Real.Find(name);
        return UserMemory.CanWrite(request, (nuint)sizeof(AioCb)) && IsOurs(request->Fd) ? Refuse(request) : real(request);
    }

    /// <summary>Those for sockets of ours fail, the others are made: EIO then, as when one could not be queued (lio_listio(3)).</summary>
    private static int Several(int mode, AioCb** requests, int count, void* notification, ReadOnlySpan<byte> name)
    {
        Real.Ensure();
        var real = (delegate* unmanaged[Cdecl]<int, void**, int, void*, int>)Real.Find(name);
        int refused = 0;
        if (mode is LIO_WAIT or LIO_NOWAIT && count is > 0 and <= MostAtOnce && UserMemory.CanRead(requests, (nuint)count * (nuint)sizeof(void*)))
        {
            for (int i = 0; i < count; i++)
            {
                refused += IsRefused(requests[i]) ? 1 : 0;
            }
        }

        if (refused == 0)
        {
            return real(mode, (void**)requests, count, notification);
        }

        AioCb** others = stackalloc AioCb*[count];
        for (int i = 0; i < count; i++)
        {
            bool ours = IsRefused(requests[i]);
            others[i] = ours ? null : requests[i];
            _ = ours ? Refuse(requests[i]) : 0;
        }

        return real(mode, (void**)others, count, notification) != 0 ? -1 : Libc.Fail(EIO);
    }

    private static bool IsRefused(AioCb* request) =>
        request != null && UserMemory.CanWrite(request, (nuint)sizeof(AioCb)) && request->Operation != LIO_NOP && IsOurs(request->Fd);

    private static bool IsOurs(int fd) => Fds.Ours(fd) != null || Fds.IsDead(fd) || Fds.IsSuspended(fd);

    private static int Refuse(AioCb* request)
    {
        request->Error = ENOSYS;
        request->Result = -1;
        return Libc.Fail(ENOSYS);
    }
}
