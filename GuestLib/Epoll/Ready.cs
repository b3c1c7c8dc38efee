using System.Numerics;

namespace NetKernel.GuestLib;

/// <content>The list of items that may be ready, in the order in which they became so.</content>
internal static unsafe partial class Epoll
{
    private static void Link(Item* item, uint at)
    {
        if (item->Linked)
        {
            return;
        }

        Set* set = &s_sets[item->Set - 1];
        item->Linked = true;
        item->NextReady = 0;
        if (set->ReadyTail == 0)
        {
            set->ReadyHead = at;
        }
        else
        {
            s_items[set->ReadyTail - 1].NextReady = at;
        }

        set->ReadyTail = at;
        set->ReadyCount++;
    }

    private static void Unlink(Set* set, uint at)
    {
        uint before = 0;
        for (uint i = set->ReadyHead; i != at; i = s_items[i - 1].NextReady)
        {
            before = i;
        }

        uint next = s_items[at - 1].NextReady;
        if (before == 0)
        {
            set->ReadyHead = next;
        }
        else
        {
            s_items[before - 1].NextReady = next;
        }

        if (set->ReadyTail == at)
        {
            set->ReadyTail = before;
        }

        set->ReadyCount--;
        s_items[at - 1].Linked = false;
    }

    /// <summary>Turns the sockets that events have marked dirty into ready items.</summary>
    internal static void Collect()
    {
        if (s_count == 0)
        {
            return;
        }

        ulong* words = (ulong*)(Region.Control + Region.Layout.DirtyOf(Region.Slot));
        ulong* summary = (ulong*)(Region.Control + Region.Layout.DirtySummaryOf(Region.Slot));
        uint blocks = Region.Sockets >> 12;
        for (uint block = 0; block < blocks; block++)
        {
            if (Volatile.Read(ref summary[block]) == 0 || !Enter())
            {
                continue;
            }

            for (ulong dirty = Interlocked.Exchange(ref summary[block], 0); dirty != 0; dirty &= dirty - 1)
            {
                uint word = (block << 6) + (uint)BitOperations.TrailingZeroCount(dirty);
                for (ulong bits = Interlocked.Exchange(ref words[word], 0); bits != 0; bits &= bits - 1)
                {
                    Stir((word << 6) + (uint)BitOperations.TrailingZeroCount(bits));
                }
            }

            Leave();
        }
    }

    private static void Stir(uint socket)
    {
        uint at = s_first[socket];
        if (at == 0)
        {
            return;
        }

        uint events = Readiness.Of(Region.Socket(socket));
        for (; at != 0; at = s_items[at - 1].NextOfSocket)
        {
            Item* item = &s_items[at - 1];
            if (!item->Linked && !item->Dead && !item->Lost && (Mask(item) & events) != 0)
            {
                Link(item, at);
                Waiting.NotifySet(item->Set);
            }
        }
    }

    private static int Gather(Set* set, EpollEvent* events, int most)
    {
        if (set->ReadyCount == 0 || !Enter())
        {
            return 0;
        }

        int n = 0;
        for (uint left = set->ReadyCount; left > 0 && n < most; left--)
        {
            uint at = set->ReadyHead;
            Item* item = &s_items[at - 1];
            set->ReadyHead = item->NextReady;
            if (set->ReadyHead == 0)
            {
                set->ReadyTail = 0;
            }

            set->ReadyCount--;
            item->Linked = false;
            uint mask = Mask(item);
            uint now = mask & Readable(item, item->Dead || item->Lost ? null : Region.Socket(item->Socket));
            if (now == 0)
            {
                continue;
            }

            events[n].Events = now;
            events[n].Data = item->Data;
            n++;
            if ((mask & Abi.EPOLLONESHOT) != 0)
            {
                item->Disarmed = true;
            }
            else if ((mask & Abi.EPOLLET) == 0)
            {
                Link(item, at); // level-triggered: looked at again next time
            }
        }

        Leave();
        return n;
    }
}
