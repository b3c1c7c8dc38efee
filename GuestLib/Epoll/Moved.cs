namespace NetKernel.GuestLib;

/// <content>The library's own fds move when the program wants their numbers.</content>
internal static unsafe partial class Epoll
{
    /// <summary>An fd of the library has another number. The set keeps its item until the file is closed, and nobody else has that.</summary>
    internal static void Moved(int from, int to)
    {
        for (uint i = 0; s_sets != null && i < MaxSets && s_used != 0; i++)
        {
            if (s_sets[i].KickFdPlusOne == from + 1)
            {
                s_sets[i].KickFdPlusOne = to + 1;
            }
        }
    }
}
