namespace NetKernel.GuestLib;

/// <content>The library's own fds move when the program wants their numbers (<see cref="Vacating"/>).</content>
internal static unsafe partial class Waiters
{
    private const int Turns = 1000;
    private const long Pause = 50_000; // nanoseconds

    /// <summary>
    /// An fd of the library has another number, and the old one still works. Returns when nobody polls by the old number any more (poll(2) looks fds up by number
    /// whenever it wakes), or after 50 ms: a thread may be in a signal handler meanwhile, this one among them.
    /// </summary>
    internal static void Moved(int from, int to)
    {
        for (uint i = 0; i < s_used; i++)
        {
            if (s_records[i].FdPlusOne == from + 1)
            {
                s_records[i].FdPlusOne = to + 1;
            }
        }

        WakeList wakes = default;
        NotifyAll(&wakes);
        wakes.Ring();
        for (int turn = 0; turn < Turns && IsAnyNotified(); turn++)
        {
            Raw.Nap(Pause);
        }
    }

    private static bool IsAnyNotified()
    {
        if (!Any || !Enter())
        {
            return false;
        }

        uint at = s_all;
        while (at != 0 && !s_records[at - 1].Notified)
        {
            at = s_records[at - 1].NextOfAll;
        }

        Leave();
        return at != 0;
    }
}
