namespace NetKernel.GuestLib;

/// <content>In a forked child.</content>
internal static unsafe partial class Epoll
{
    internal static void AfterFork() => s_lock = 0;

    /// <summary>In a forked child: whatever is ready now is news to it.</summary>
    internal static void AllDirty()
    {
        for (uint at = 1; at <= s_used; at++)
        {
            Item* item = &s_items[at - 1];
            if (item->Set != 0 && !item->Dead && !item->Lost && (Mask(item) & Readiness.Of(Region.Socket(item->Socket))) != 0)
            {
                Link(item, at);
            }
        }
    }
}
