using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// The calls after which a process may not find the way to the guest's channel any more: those that change its root folder, its mounts or its user. A process that makes
/// one before its first socket attaches now.
/// </summary>
internal static unsafe class Roots
{
    private const int CLONE_NEWNS = 0x20000, CLONE_NEWUSER = 0x10000000;

    [RuntimeExport("chroot")]
    public static int ChangeRoot(byte* path)
    {
        AttachEarly();
        return Real.chroot(path);
    }

    [RuntimeExport("pivot_root")]
    public static int PivotRoot(byte* root, byte* old)
    {
        AttachEarly();
        return Real.pivot_root(root, old);
    }

    [RuntimeExport("unshare")]
    public static int Unshare(int flags)
    {
        if ((flags & (CLONE_NEWNS | CLONE_NEWUSER)) != 0)
        {
            AttachEarly();
        }

        return Real.unshare(flags);
    }

    [RuntimeExport("setns")]
    public static int SetNamespace(int fd, int type)
    {
        AttachEarly();
        return Real.setns(fd, type);
    }

    /// <summary>The same by number.</summary>
    internal static nint ByNumber(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        AttachEarly();
        return Real.syscall(number, a, b, c, d, e, f);
    }

    private static void AttachEarly()
    {
        Real.Ensure();
        if (Attaching.IsGuest && !Region.Attached && Libc.getpid() == Forking.Pid)
        {
            int errno = Libc.Errno;
            _ = Attaching.Ensure();
            Libc.Errno = errno;
        }
    }
}
