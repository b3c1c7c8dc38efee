using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Processes of guests: their connections, and their end.</summary>
internal sealed unsafe partial class Engine
{
    private void AcceptProcesses(Guest guest, int listener)
    {
        int fd;
        while ((fd = SeqPacket.Accept(listener)) >= 0)
        {
            var connection = new GuestConnection(this, guest, _sources);
            guest.Connections.Add(connection);
            _sources.Add(connection, fd);
        }
    }

    public void GuestConnectionEnded(GuestConnection connection, string why)
    {
        _ = connection.Guest.Connections.Remove(connection);
        connection.Close();
        if (why != "closed")
        {
            Log.Warn("guest-connection-dropped", ("guest", connection.Guest.Name), ("reason", why));
        }
    }

    private static bool HasEnded(int pidfd)
    {
        // waitid(P_PIDFD) is for parents; a pidfd becomes readable when its process ends.
        int epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN };
        _ = Libc.EpollControl(epoll, Libc.EPOLL_CTL_ADD, pidfd, &e);
        bool ended = Libc.EpollWait(epoll, &e, 1, 0) == 1;
        _ = Libc.Close(epoll);
        return ended;
    }

    /// <summary>A process is gone, in whatever way.</summary>
    public void ProcessEnded(GuestProcess process)
    {
        Guest guest = process.Guest;

        // A child's ForkAttach that is waiting comes first: the child holds what its parent held.
        foreach (GuestConnection connection in guest.Connections.ToArray())
        {
            connection.Drain();
        }

        if (process.Ending || guest.IsTornDown || guest.Processes[process.Slot] != process)
        {
            return;
        }

        Log.Info("process-ended", ("guest", guest.Name), ("pid", process.Pid), ("slot", process.Slot));
        BeginReaping(process);
    }

    private void Unwatch(GuestProcess process)
    {
        _sources.Remove(process);
        if (process.Pipe is { } pipe)
        {
            _sources.Remove(pipe);
        }
    }

    private void BeginReaping(GuestProcess process)
    {
        Guest guest = process.Guest;
        uint slot = process.Slot;
        if (process.Fd >= 0)
        {
            guest.Ports[0].Counters->Processes--;
        }

        Unwatch(process);
        process.Ending = true;
        process.LoopsLeft = (uint)_loops.Length;
        int pipe = guest.Pipes[slot];
        Volatile.Write(ref guest.Pipes[slot], -1);
        OnLoops(loop => loop.ProcessEnded(guest.Id, slot));
        if (pipe >= 0)
        {
            _ = Libc.Close(pipe);
        }
    }

    /// <summary>Takes note of the processes that loops have taken leave of.</summary>
    private void TakeReaped(Guest guest)
    {
        foreach (GuestPort port in guest.Ports)
        {
            for (uint slot = port.Reaped.Next(0); slot != ProcessMask.None; slot = port.Reaped.Next(slot + 1))
            {
                _ = port.Reaped.Unshare(slot);
                Reaped(guest, slot);
            }
        }
    }

    /// <summary>One loop has taken leave of a process; when all have, its slot is free.</summary>
    private void Reaped(Guest guest, uint slot)
    {
        if (guest.Processes[slot] is not { Ending: true } process || --process.LoopsLeft != 0)
        {
            return;
        }

        guest.Processes[slot] = null;
        ProcessSlot* shared = guest.SlotOf(slot);
        new Span<byte>(shared->Name, 16).Clear();
        shared->Pid = 0;
        shared->Refused = 0;
        shared->Asleep = 0;
        Volatile.Write(ref shared->State, ProcessState.Free);

        CheckExports();

        // Children that it had claimed slots for and that have not come: nobody else will give them back.
        for (uint other = 0; other < guest.Layout.Counts.QueueSets; other++)
        {
            ProcessSlot* claimed = guest.SlotOf(other);
            if (guest.Processes[other] == null && Volatile.Read(ref claimed->State) == ProcessState.Forking && claimed->Parent == slot)
            {
                guest.Processes[other] = new GuestProcess(this, guest, other, 0);
                BeginReaping(guest.Processes[other]!);
            }
        }
    }
}
