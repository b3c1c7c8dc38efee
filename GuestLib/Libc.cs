using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib;

/// <summary>The libc calls that this library does not interpose, bound by name.</summary>
internal static unsafe class Libc
{
    [RuntimeImport("*", "dlsym"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void* dlsym(nint handle, byte* name);

    [RuntimeImport("*", "__errno_location"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int* errno_location();

    [RuntimeImport("*", "getenv"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern byte* getenv(byte* name);

    [RuntimeImport("*", "strcmp"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int strcmp(byte* one, byte* other);

    [RuntimeImport("*", "getpid"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int process();

    /// <summary>getpid(2); behind a filter that forbids it, the process that these books are for.</summary>
    internal static int getpid() => Sandbox.Allows(Sandbox.GetPid) ? process() : Forking.Pid;

    [RuntimeImport("*", "pthread_self"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern nuint pthread_self();

    [RuntimeImport("*", "pthread_atfork"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int pthread_atfork(nint prepare, nint parent, nint child);

    [RuntimeImport("*", "mmap"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [RuntimeImport("*", "munmap"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int munmap(nint address, nuint length);

    [RuntimeImport("*", "mprotect"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int mprotect(nint address, nuint length, int protection);

    [RuntimeImport("*", "sched_yield"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int yield();

    internal static int sched_yield() => Sandbox.Yield();

    [RuntimeImport("*", "sched_getcpu"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int sched_getcpu();

    [RuntimeImport("*", "eventfd"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int eventfd(uint value, int flags);

    [RuntimeImport("*", "fstat"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int status(int fd, Stat* stat);

    /// <summary>fstat(2), by the call of that name or by fstatat's, whichever a filter allows.</summary>
    internal static int fstat(int fd, Stat* stat) => Sandbox.Allows(Sandbox.NewFStatAt) || !Sandbox.Allows(Sandbox.FStat) ? status(fd, stat)
        : (int)Real.syscall(Sandbox.FStat, fd, (nint)stat, 0, 0, 0, 0);

    [RuntimeImport("*", "clock_gettime"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int clock_gettime(int clock, TimeSpec* time);

    [RuntimeImport("*", "pthread_kill"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int pthread_kill(nuint thread, int signal);

    [RuntimeImport("*", "pread64"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern nint pread64(int fd, void* buffer, nuint length, long offset);

    [RuntimeImport("*", "sysconf"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern nint sysconf(int name);

    [RuntimeImport("*", "memmove"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void* memmove(void* destination, void* source, nuint bytes);

    [RuntimeImport("*", "secure_getenv"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern byte* secure_getenv(byte* name);

    [RuntimeImport("*", "malloc"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void* malloc(nuint bytes);

    [RuntimeImport("*", "free"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void free(void* memory);

    [RuntimeImport("*", "open64"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int open(byte* path, int flags);

    internal const int RLIMIT_NOFILE = 7;

    [RuntimeImport("*", "getrlimit"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int getrlimit(int resource, ulong* limits);

    [RuntimeImport("*", "sem_init"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int sem_init(Semaphore* semaphore, int shared, uint value);

    [RuntimeImport("*", "sem_wait"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int sem_wait(Semaphore* semaphore);

    [RuntimeImport("*", "sem_post"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int sem_post(Semaphore* semaphore);

    [RuntimeImport("*", "sigaction"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int sigaction(int signal, void* action, void* old);

    [RuntimeImport("*", "pthread_testcancel"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern void pthread_testcancel();

    [RuntimeImport("*", "pthread_setcancelstate"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int pthread_setcancelstate(int state, int* old);

    /// <summary>Whether the process has no thread but this one, as the C library knows it.</summary>
    internal static bool IsSingleThreaded => Real.single_threaded != null && Volatile.Read(ref *Real.single_threaded);

    internal static int Errno
    {
        get => *errno_location();
        set => *errno_location() = value;
    }

    /// <summary>Sets errno and returns -1: how a libc call fails.</summary>
    internal static int Fail(int errno)
    {
        *errno_location() = errno;
        return -1;
    }

    /// <summary>Monotonic clock, nanoseconds.</summary>
    internal static long Now()
    {
        TimeSpec t;
        _ = clock_gettime(1, &t);
        return (t.Seconds * 1_000_000_000) + t.Nanoseconds;
    }

    /// <summary>Zeroed private memory that costs nothing until touched; null when the system refuses.</summary>
    internal static byte* Reserve(nuint bytes)
    {
        nint address = mmap(0, bytes, Abi.PROT_READ | Abi.PROT_WRITE, Abi.MAP_PRIVATE | Abi.MAP_ANONYMOUS | Abi.MAP_NORESERVE, -1, 0);
        return address == -1 ? null : (byte*)address;
    }
}
