using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane;

/// <summary>Becoming a daemon, and the file mode mask.</summary>
internal static class Terminal
{
    private const int OpenFlags = 0x2 /* O_RDWR */ | 0x40 /* O_CREAT */ | 0x400 /* O_APPEND */;

    /// <summary>A session of its own: no terminal's Ctrl-C ends it.</summary>
    public static void LeaveSession() => _ = SetSid();

    /// <summary>From here on standard output and standard error go to a file, standard input is empty.</summary>
    public static void Detach(string logPath)
    {
        int none = Open("/dev/null", Libc.O_CLOEXEC, 0);
        int log = Open(logPath, OpenFlags | Libc.O_CLOEXEC, 0x180 /* 0600 */);
        if (none >= 0)
        {
            _ = Dup2(none, 0);
            _ = Libc.Close(none);
        }

        if (log >= 0)
        {
            _ = Dup2(log, 1);
            _ = Dup2(log, 2);
            _ = Libc.Close(log);
        }
    }

    [DllImport("libc", EntryPoint = "umask")]
    public static extern uint SetMask(uint mask);

    [DllImport("libc", EntryPoint = "setsid", SetLastError = true)]
    private static extern int SetSid();

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, int mode);

    [DllImport("libc", EntryPoint = "dup2", SetLastError = true)]
    private static extern int Dup2(int from, int to);
}
