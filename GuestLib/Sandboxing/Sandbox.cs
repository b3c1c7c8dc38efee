namespace NetKernel.GuestLib;

/// <summary>
/// Programs that allow themselves but a few system calls from some point on (seccomp(2)): a call that the program does not make itself, and this library does, would be the
/// end of the process. So the library reads the filters that a program installs, and makes do with the calls that they allow.
/// </summary>
internal static unsafe class Sandbox
{
    internal const int Read = 0, Write = 1, Poll = 7, SchedYield = 24, NanoSleep = 35, GetPid = 39, Socket = 41, Accept = 43, EpollWait = 232, EpollCtl = 233, PPoll = 271,
        EpollPWait = 281, Accept4 = 288, EventFd2 = 290, Fcntl = 72, NewFStatAt = 262, FStat = 5, PrLimit64 = 302;

    private const int PR_SET_SECCOMP = 22, PR_SET_SECCOMP_STRICT = 1, PR_SET_SECCOMP_FILTER = 2;
    private const int SECCOMP_SET_MODE_STRICT = 0, SECCOMP_SET_MODE_FILTER = 1;
    private const int SYS_seccomp = 317, SYS_prctl = 157;
    private const int Words = 8; // of 64 system calls each

    private static Calls s_allowed; // what all filters together allow; counts when filtered
    private static bool s_filtered;

    private struct Calls
    {
        internal fixed ulong Bits[Words];
    }

    /// <summary>Whether a filter is in force: no call but those that it allows.</summary>
    internal static bool IsFiltered => s_filtered;

    /// <summary>Whether the filters let a system call through whatever its arguments.</summary>
    internal static bool Allows(int number) => !s_filtered || ((s_allowed.Bits[number >> 6] >> (number & 63)) & 1) != 0;

    /// <summary>prctl(2).</summary>
    internal static int Control(int option, nint a, nint b, nint c, nint d)
    {
        if (option != PR_SET_SECCOMP || a is not (PR_SET_SECCOMP_STRICT or PR_SET_SECCOMP_FILTER))
        {
            return Real.prctl(option, a, b, c, d);
        }

        Before(a == PR_SET_SECCOMP_STRICT ? null : (FilterProgram*)b, out Calls allowed, out bool filtered);
        int result = Real.prctl(option, a, b, c, d);
        After(result == 0, in allowed, filtered);
        return result;
    }

    /// <summary>prctl(2) and seccomp(2) by their numbers, as libseccomp has it.</summary>
    internal static nint ByNumber(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        if (number == SYS_prctl && (int)a == PR_SET_SECCOMP)
        {
            return Control((int)a, b, c, d, e);
        }

        if (number != SYS_seccomp || (uint)a is not (SECCOMP_SET_MODE_STRICT or SECCOMP_SET_MODE_FILTER))
        {
            return Real.syscall(number, a, b, c, d, e, f);
        }

        Before((uint)a == SECCOMP_SET_MODE_STRICT ? null : (FilterProgram*)c, out Calls allowed, out bool filtered);
        nint result = Real.syscall(number, a, b, c, d, e, f);
        After(result >= 0, in allowed, filtered);
        return result;
    }

    /// <summary>sched_yield(2), or as much of it as a filter lets through.</summary>
    internal static int Yield()
    {
        if (Allows(SchedYield))
        {
            return Libc.yield();
        }

        TimeSpec now = default;
        return Substitutes.CanPoll ? Real.ppoll(null, 0, &now, null) : 0;
    }

    /// <summary>
    /// Before the call: from the moment that it succeeds on, a forbidden call of another thread would be one too many as well. A null program is strict mode: read, write
    /// and the end.
    /// </summary>
    private static void Before(FilterProgram* program, out Calls allowed, out bool filtered)
    {
        allowed = s_allowed;
        filtered = s_filtered;
        bool readable = program == null || (UserMemory.CanRead(program, (nuint)sizeof(FilterProgram)) && program->Length <= FilterProgram.Most
            && UserMemory.CanRead(program->Instructions, (nuint)program->Length * (nuint)sizeof(FilterInstruction)));
        if (!readable)
        {
            return; // the kernel says EFAULT or EINVAL
        }

        // Afterwards it may be too late: attaching takes calls that few filters allow.
        if (program != null && !Region.Attached && Attaching.IsGuest && program->Judge(Socket) != FilterVerdict.Refused && Libc.getpid() == Forking.Pid)
        {
            int errno = Libc.Errno;
            _ = Attaching.Ensure();
            Libc.Errno = errno;
        }

        Substitutes.Prepare();
        Calls now = default;
        for (int number = 0; number < Words * 64; number++)
        {
            bool passes = program == null ? number is Read or Write : program->Judge(number) == FilterVerdict.Allowed;
            now.Bits[number >> 6] |= passes && Allows(number) ? 1ul << (number & 63) : 0;
        }

        s_allowed = now;
        s_filtered = true;
        Substitutes.Choose();
    }

    private static void After(bool done, in Calls allowed, bool filtered)
    {
        if (!done)
        {
            s_allowed = allowed;
            s_filtered = filtered;
            Substitutes.Choose();
        }
    }
}
