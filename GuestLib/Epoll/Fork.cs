namespace NetKernel.GuestLib;

/// <content>fork(2): the child has the sets, too. Where they cannot be shared it has a copy; the kernel's part of a set is one for both in any case.</content>
internal static unsafe partial class Epoll
{
    private static bool s_held;

    /// <summary>Before the fork: what has happened is on the lists, nobody is in the middle of changing them, and either side may add native fds that the other's books miss.</summary>
    /// <param name="child">The slot of the child; with one that is none of the guest's it has copies of the sets, since it can use none of its sockets.</param>
    internal static void BeforeFork(uint child)
    {
        Collect();
        s_held = Enter();
        if (s_held && Region.Attached && !Region.Dead && child < Region.Layout.Counts.QueueSets)
        {
            ShareAll(child);
        }

        for (uint i = 0; s_sets != null && i < s_setHigh && s_used != 0; i++)
        {
            s_sets[i].Natives += s_sets[i].Items != 0 && s_sets[i].Natives == 0 ? 1 : 0;
        }
    }

    /// <summary>In the parent, or when there was no fork after all.</summary>
    internal static void AfterForkInParent()
    {
        if (s_held)
        {
            s_held = false;
            Leave();
        }
    }

    /// <summary>In the child.</summary>
    internal static void AfterFork()
    {
        s_lock = 0;
        UnuseAll();
    }
}
