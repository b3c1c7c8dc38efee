namespace NetKernel.GuestLib;

/// <content>CoreEngine goes and comes back.</content>
internal static unsafe partial class Epoll
{
    /// <summary>CoreEngine is gone: every item reports it.</summary>
    internal static void KillSockets()
    {
        for (uint at = 1; at <= s_used; at++)
        {
            Item* item = &s_items[at - 1];
            if (item->Set != 0 && !item->Dead && !item->Lost)
            {
                item->Lost = Fds.KindOf(item->Fd) == FdKind.Lost;
                item->Dead = !item->Lost;
                if (item->Dead && !item->Linked)
                {
                    Link(item, at);
                }
            }
        }
    }

    /// <summary>A listener lives again, under another id: so do its items.</summary>
    internal static void Revived(uint oldId, uint id)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        uint* link = &s_first[oldId];
        while (*link != 0)
        {
            uint at = *link;
            Item* item = &s_items[at - 1];
            if (!item->Lost)
            {
                link = &item->NextOfSocket;
                continue;
            }

            *link = item->NextOfSocket;
            item->Lost = false;
            item->Socket = id;
            item->NextOfSocket = s_first[id];
            s_first[id] = at;
            Link(item, at); // looked at once: connections may wait already
            link = oldId == id ? &item->NextOfSocket : link;
        }

        Leave();
    }
}
