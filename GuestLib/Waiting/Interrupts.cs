namespace NetKernel.GuestLib;

/// <summary>Signals and cancellation in blocking calls.</summary>
internal static unsafe class Interrupts
{
    private const int LastSignal = 64;
    private const ulong SA_RESTART = 0x10000000;

    /// <summary>Somebody in this process cancels threads: only then are calls cancellation points that cost anything.</summary>
    private static bool s_cancels;

    /// <summary>pthread_cancel was called.</summary>
    internal static void Cancels() => s_cancels = true;

    /// <summary>A cancellation point (pthreads(7)): a call that needs not wait is one too.</summary>
    internal static void Point()
    {
        if (s_cancels)
        {
            Libc.pthread_testcancel();
        }
    }

    /// <summary>
    /// Whether a blocking call that was interrupted while it waited for several fds goes on. The kernel does not say whose handler ran: the call goes on when all handlers that
    /// the program has installed say SA_RESTART.
    /// </summary>
    internal static bool AllRestart()
    {
        int errno = Libc.Errno;
        ulong* action = stackalloc ulong[20]; // struct sigaction: handler, 128 bytes of mask, flags
        bool all = true;
        for (int signal = 1; signal <= LastSignal && all; signal++)
        {
            if (Libc.sigaction(signal, null, action) == 0 && action[0] > 1) // SIG_DFL and SIG_IGN interrupt nothing
            {
                all = (action[17] & SA_RESTART) != 0;
            }
        }

        Libc.Errno = errno;
        return all;
    }
}
