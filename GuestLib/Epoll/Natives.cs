namespace NetKernel.GuestLib;

/// <content>Sockets that the guest's own kernel serves, wholly or for its loopback.</content>
internal static unsafe partial class Epoll
{
    /// <summary>A socket that turned out to be the kernel's: its items go over.</summary>
    internal static void MoveToNative(int fd, uint socket)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0;)
        {
            Item* item = &s_items[at - 1];
            uint next = item->NextOfSocket;
            EpollEvent e = new() { Events = item->Events, Data = item->Data };
            Set* set = &s_sets[item->Set - 1];
            int itemFd = item->Fd;
            Remove(at);
            if (Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, itemFd, &e) == 0)
            {
                set->Natives++;
            }

            at = next;
        }

        Leave();
    }

    /// <summary>A socket in a set began to listen: the kernel watches its loopback half.</summary>
    internal static void AddNativeHalf(int fd, uint socket)
    {
        if (s_count == 0 || !Enter())
        {
            return;
        }

        for (uint at = s_first[socket]; at != 0; at = s_items[at - 1].NextOfSocket)
        {
            Item* item = &s_items[at - 1];
            EpollEvent e = new() { Events = item->Events, Data = item->Data };
            Set* set = &s_sets[item->Set - 1];
            if (!item->NativeToo && Real.epoll_ctl(set->Fd, Abi.EPOLL_CTL_ADD, item->Fd, &e) == 0)
            {
                item->NativeToo = true;
                set->Natives++;
            }
        }

        Leave();
    }
}
