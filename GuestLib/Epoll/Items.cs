using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>A socket of ours in a set.</content>
internal static unsafe partial class Epoll
{
    private const uint MaxItems = 1 << 17;

    private struct Item
    {
        internal ulong Data;
        internal uint Events;
        internal int Fd;
        internal uint Socket;
        internal uint Set; // index + 1; 0: free
        internal uint NextOfSocket;
        internal uint NextReady;
        internal bool Linked;
        internal bool Dead;
        internal bool Lost;
        internal bool NativeToo;
        internal bool Disarmed;
    }

    private static Item* s_items;
    private static uint* s_first; // by socket: its first item
    private static uint s_free;
    private static uint s_used;
    private static uint s_count;

    /// <summary>Makes room for items.</summary>
    internal static bool Reserve(uint sockets)
    {
        if (s_items == null)
        {
            s_items = (Item*)Libc.Reserve(MaxItems * (nuint)sizeof(Item));
            s_first = (uint*)Libc.Reserve(sockets * sizeof(uint));
        }

        return s_sets != null && s_items != null && s_first != null;
    }

    private static void Arm(Item* item, uint at, SocketSlot* s, EpollEvent* e)
    {
        item->Events = e->Events;
        item->Data = e->Data;
        item->Disarmed = false;
        if ((Mask(item) & Readable(item, s)) != 0)
        {
            Link(item, at);
        }
    }

    private static uint Mask(Item* item) => item->Disarmed ? 0 : item->Events | Abi.EPOLLERR | Abi.EPOLLHUP;

    private static uint Readable(Item* item, SocketSlot* s) => item->Lost ? 0 : item->Dead || s == null ? Readiness.Broken : Readiness.Of(s);

    private static uint Find(uint set, int fd, uint socket)
    {
        uint at = s_first[socket];
        while (at != 0 && (s_items[at - 1].Set != set + 1 || s_items[at - 1].Fd != fd))
        {
            at = s_items[at - 1].NextOfSocket;
        }

        return at;
    }

    private static uint New()
    {
        uint at = s_free;
        if (at != 0)
        {
            s_free = s_items[at - 1].NextOfSocket;
        }
        else if (s_used < MaxItems)
        {
            at = ++s_used;
        }
        else
        {
            return 0;
        }

        s_items[at - 1] = default;
        return at;
    }

    private static void Remove(uint at)
    {
        Item* item = &s_items[at - 1];
        Set* set = &s_sets[item->Set - 1];
        if (item->NativeToo)
        {
            EpollEvent none = default;
            _ = Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_DEL, item->Fd, &none);
            set->Natives--;
        }

        uint* link = &s_first[item->Socket];
        while (*link != at)
        {
            link = &s_items[*link - 1].NextOfSocket;
        }

        *link = item->NextOfSocket;
        if (item->Linked)
        {
            Unlink(set, at);
        }

        set->Items--;
        s_count--;
        item->Set = 0;
        item->NextOfSocket = s_free;
        s_free = at;
    }

    /// <summary>A closed fd leaves every set.</summary>
    internal static void RemoveFd(int fd, uint socket, bool dead)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0;)
        {
            uint next = s_items[at - 1].NextOfSocket;
            if (s_items[at - 1].Fd == fd && s_items[at - 1].Dead == dead)
            {
                Remove(at);
            }

            at = next;
        }

        Leave();
    }
}
