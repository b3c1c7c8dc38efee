using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>CoreEngine goes and comes back.</content>
internal static unsafe partial class Epoll
{
    /// <summary>CoreEngine is gone: every item reports it, except listeners, which wait. Everybody is woken after that.</summary>
    internal static void KillSockets()
    {
        LoseShared();
        for (uint at = 1; at <= s_used; at++)
        {
            Item* item = &s_items[at - 1];
            if (item->Set == 0 || Is(item, ItemFlags.IsSet | ItemFlags.Dead | ItemFlags.Lost))
            {
                continue;
            }

            item->Flags |= Fds.Find(FdKind.Lost, item->Target, -1) >= 0 ? ItemFlags.Lost : ItemFlags.Dead;
            if (Is(item, ItemFlags.Dead))
            {
                Link(item, at);
            }
        }
    }

    /// <summary>A listener lives again, under another id: so do its items.</summary>
    internal static void Revived(uint oldId, uint id) => Rename(oldId, id, ItemFlags.Lost);

    /// <summary>A socket begins a new life under another id: its items go with it.</summary>
    internal static void Moved(uint oldId, uint id) => Rename(oldId, id, 0);

    private static void Rename(uint oldId, uint id, ItemFlags those)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        WakeList wakes = default;
        ProcessMask sleepers = default;
        uint* link = &s_first[oldId];
        while (*link != 0)
        {
            uint at = *link;
            Item* item = &s_items[at - 1];
            if (those != 0 && !Is(item, those))
            {
                link = &item->NextOfTarget;
                continue;
            }

            *link = item->NextOfTarget;
            item->Flags &= ~ItemFlags.Lost;
            item->Target = id;
            item->NextOfTarget = s_first[id];
            s_first[id] = at;
            _ = News(item);
            Link(item, at); // looked at once: connections may wait already
            Tell(item->Set, &wakes);
            Republish(at, ref sleepers);
            link = oldId == id ? &item->NextOfTarget : link;
        }

        Leave();
        wakes.Ring();
        Nudge(sleepers);
    }
}
