namespace NetKernel.GuestLib;

/// <summary>The libc's own versions of the calls that this library interposes, found with dlsym(RTLD_NEXT) in the constructor.</summary>
internal static unsafe class Real
{
    private const nint Next = -1;

    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, int> socket;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint, int> bind;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int> listen;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint, int> connect;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int, int> accept4;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int> close;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int> shutdown;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, nint> read;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, nint> write;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, nint> readv;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, nint> writev;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, long, int, nint> preadv2;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, long, int, nint> pwritev2;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, nint> recv;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, nint> send;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, void*, uint*, nint> recvfrom;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, void*, uint, nint> sendto;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MsgHdr*, int, nint> recvmsg;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MsgHdr*, int, nint> sendmsg;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MMsgHdr*, uint, int, TimeSpec*, int> recvmmsg;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MMsgHdr*, uint, int, int> sendmmsg;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, long*, nuint, nint> sendfile;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, long*, int, long*, nuint, uint, nint> splice;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, nint, int> fcntl;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, nuint, nint, int> ioctl;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, void*, uint, int> setsockopt;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, void*, uint*, int> getsockopt;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int> getsockname;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int> getpeername;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, TimeSpec*, void*, int> ppoll;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, void*, void*, TimeSpec*, void*, int> pselect;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int> epoll_create1;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, EpollEvent*, int> epoll_ctl;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, void*, int> epoll_pwait;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, TimeSpec*, void*, int> epoll_pwait2;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int> dup;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int> dup2;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, int> dup3;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<uint, uint, int, int> close_range;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, nint, nint, nint, nint, nint, nint, nint> syscall;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, nint, nint, nint, nint, int> prctl;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte**, byte**, int> execve;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte**, byte**, int> execvpe;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte**, byte**, int> fexecve;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte*, byte**, byte**, int, int> execveat;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int*, byte*, void*, void*, byte**, byte**, int> posix_spawn;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int*, byte*, void*, void*, byte**, byte**, int> posix_spawnp;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, void*> popen;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int> fork;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int> _Fork;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, void*, int, void*, void*, void*, void*, int> clone;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, uint, int> pidfd_getfd;

    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, int, int> poll;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, int> epoll_wait;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int> accept;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int> chroot;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int> pivot_root;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int> unshare;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int> setns;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte*, void*, int> vdprintf;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, byte*, void*, int> vdprintf_chk;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, byte*, byte*> freopen;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, byte*, byte*> freopen64;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void> perror;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int> daemon;

    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<nuint, int> pthread_cancel;

    /// <summary>The libc's variable: where the program's standard error is now.</summary>
    internal static byte** stderr;

    /// <summary>_pthread_cleanup_push and _pthread_cleanup_pop: a C library that has none leaves them null.</summary>
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, void*, void*, void> cleanup_push;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, int, void> cleanup_pop;

    /// <summary>__libc_single_threaded, or null.</summary>
    internal static bool* single_threaded;

    private static bool s_ready;

    /// <summary>Finds them all. Called from the constructor, and by calls that other libraries' constructors make before it.</summary>
    internal static void Resolve()
    {
        if (s_ready)
        {
            return;
        }

        socket = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, int>)Find("socket"u8);
        bind = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint, int>)Find("bind"u8);
        listen = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int>)Find("listen"u8);
        connect = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint, int>)Find("connect"u8);
        accept4 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int, int>)Find("accept4"u8);
        close = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int>)Find("close"u8);
        shutdown = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int>)Find("shutdown"u8);
        read = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, nint>)Find("read"u8);
        write = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, nint>)Find("write"u8);
        readv = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, nint>)Find("readv"u8);
        writev = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, nint>)Find("writev"u8);
        preadv2 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, long, int, nint>)Find("preadv2"u8);
        pwritev2 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, IoVec*, int, long, int, nint>)Find("pwritev2"u8);
        recv = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, nint>)Find("recv"u8);
        send = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, nint>)Find("send"u8);
        recvfrom = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, void*, uint*, nint>)Find("recvfrom"u8);
        sendto = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, nuint, int, void*, uint, nint>)Find("sendto"u8);
        recvmsg = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MsgHdr*, int, nint>)Find("recvmsg"u8);
        sendmsg = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MsgHdr*, int, nint>)Find("sendmsg"u8);
        recvmmsg = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MMsgHdr*, uint, int, TimeSpec*, int>)Find("recvmmsg"u8);
        sendmmsg = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, MMsgHdr*, uint, int, int>)Find("sendmmsg"u8);
        sendfile = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, long*, nuint, nint>)Find("sendfile64"u8);
        splice = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, long*, int, long*, nuint, uint, nint>)Find("splice"u8);
        fcntl = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, nint, int>)Find("fcntl64"u8);
        ioctl = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, nuint, nint, int>)Find("ioctl"u8);
        setsockopt = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, void*, uint, int>)Find("setsockopt"u8);
        getsockopt = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, void*, uint*, int>)Find("getsockopt"u8);
        getsockname = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int>)Find("getsockname"u8);
        getpeername = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int>)Find("getpeername"u8);
        ppoll = (delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, TimeSpec*, void*, int>)Find("ppoll"u8);
        pselect = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, void*, void*, TimeSpec*, void*, int>)Find("pselect"u8);
        epoll_create1 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int>)Find("epoll_create1"u8);
        epoll_ctl = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, EpollEvent*, int>)Find("epoll_ctl"u8);
        epoll_pwait = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, void*, int>)Find("epoll_pwait"u8);
        epoll_pwait2 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, TimeSpec*, void*, int>)Find("epoll_pwait2"u8);
        dup = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int>)Find("dup"u8);
        dup2 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int>)Find("dup2"u8);
        dup3 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int, int>)Find("dup3"u8);
        close_range = (delegate* unmanaged[Cdecl, SuppressGCTransition]<uint, uint, int, int>)Find("close_range"u8);
        syscall = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nint, nint, nint, nint, nint, nint, nint, nint>)Find("syscall"u8);
        prctl = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, nint, nint, nint, nint, int>)Find("prctl"u8);
        execve = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte**, byte**, int>)Find("execve"u8);
        execvpe = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte**, byte**, int>)Find("execvpe"u8);
        fexecve = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte**, byte**, int>)Find("fexecve"u8);
        execveat = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte*, byte**, byte**, int, int>)Find("execveat"u8);
        posix_spawn = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int*, byte*, void*, void*, byte**, byte**, int>)Find("posix_spawn"u8);
        posix_spawnp = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int*, byte*, void*, void*, byte**, byte**, int>)Find("posix_spawnp"u8);
        popen = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, void*>)Find("popen"u8);
        fork = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int>)Find("fork"u8);
        _Fork = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int>)Find("_Fork"u8);
        clone = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, void*, int, void*, void*, void*, void*, int>)Find("clone"u8);
        pidfd_getfd = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, uint, int>)Find("pidfd_getfd"u8);
        poll = (delegate* unmanaged[Cdecl, SuppressGCTransition]<PollFd*, nuint, int, int>)Find("poll"u8);
        epoll_wait = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, EpollEvent*, int, int, int>)Find("epoll_wait"u8);
        accept = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void*, uint*, int>)Find("accept"u8);
        chroot = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int>)Find("chroot"u8);
        pivot_root = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int>)Find("pivot_root"u8);
        unshare = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int>)Find("unshare"u8);
        setns = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int>)Find("setns"u8);
        vdprintf = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, byte*, void*, int>)Find("vdprintf"u8);
        vdprintf_chk = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, byte*, void*, int>)Find("__vdprintf_chk"u8);
        freopen = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, byte*, byte*>)Find("freopen"u8);
        freopen64 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, byte*, byte*>)Find("freopen64"u8);
        perror = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, void>)Find("perror"u8);
        daemon = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, int, int>)Find("daemon"u8);
        fixed (byte* name = "stderr"u8)
        {
            stderr = (byte**)Libc.dlsym(0, name); // the program's copy, if it has one
        }

        pthread_cancel = (delegate* unmanaged[Cdecl, SuppressGCTransition]<nuint, int>)Find("pthread_cancel"u8);
        cleanup_push = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, void*, void*, void>)Find("_pthread_cleanup_push"u8);
        cleanup_pop = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, int, void>)Find("_pthread_cleanup_pop"u8);
        single_threaded = (bool*)Find("__libc_single_threaded"u8);
        s_ready = true;
    }

    /// <summary>
    /// Makes the pointers usable however early a call comes: other libraries' constructors may run before ours.
    /// </summary>
    internal static void Ensure()
    {
        if (!s_ready)
        {
            Resolve();
        }
    }

    /// <summary>A symbol of a library behind this one, or null.</summary>
    internal static void* Find(ReadOnlySpan<byte> name)
    {
        fixed (byte* text = name)
        {
            return Libc.dlsym(Next, text);
        }
    }
}
