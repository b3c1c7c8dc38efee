using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Processes of guests: attach, fork, exec.</summary>
internal sealed unsafe partial class Engine
{
    /// <summary>A message of a guest's process. Whatever is wrong with it costs its sender the connection and nobody else anything.</summary>
    public void FromGuest(GuestConnection connection, ref AttachMessage message, ReadOnlySpan<int> fds, int pid)
    {
        Guest guest = connection.Guest;
        int sender = pid > 0 ? pid : SeqPacket.PeerPid(connection.Fd, out _);
        if (TryTold(guest, ref message, fds, sender))
        {
            return;
        }

        if (message.Op == AttachOp.Bell && fds.Length == 0 && !guest.IsTornDown)
        {
            connection.Send(guest.Message(AttachOp.Bell), [guest.Bells[0]]);
            return;
        }

        if (message.Op == AttachOp.Pair && fds.Length == 0 && !guest.IsTornDown)
        {
            GiveRegion(connection, message.Slot, sender);
            return;
        }

        if (fds.Length != 1 || message.Op is not (AttachOp.Attach or AttachOp.ForkAttach))
        {
            SeqPacket.CloseAll(fds);
            GuestConnectionEnded(connection, $"unexpected message {(uint)message.Op} with {fds.Length} fds");
            return;
        }

        int pipe = Native.OwnPipe(fds[0]);
        if (pipe < 0)
        {
            GuestConnectionEnded(connection, "no pipe in its message");
            return;
        }

        if (message.Op == AttachOp.ForkAttach)
        {
            ForkAttached(connection, message.Slot, sender, pipe);
            return;
        }

        if (!TryAttach(guest, sender, pipe, ref message, out int error, out string text))
        {
            _ = Libc.Close(pipe);
            Log.Warn("process-refused", ("guest", guest.Name), ("pid", sender), ("reason", text));
            AttachMessage refusal = guest.Message(AttachOp.Attach);
            refusal.Error = error;
            SeqPacket.Put(new Span<byte>(refusal.Text, 128), text);
            connection.Send(refusal);
            return;
        }

        AttachMessage answer = guest.Message(AttachOp.Attach);
        answer.Slot = message.Slot;
        answer.Flags |= message.Flags;
        connection.Send(answer, [guest.ControlFd, guest.PoolFd, .. guest.Bells]);
    }

    /// <summary>A new process, or a known one after its exec, which gets another slot. Puts Slot and Flags of the answer into the message.</summary>
    private bool TryAttach(Guest guest, int pid, int pipe, ref AttachMessage message, out int error, out string text)
    {
        error = 0;
        text = "";
        message.Flags = 0;
        if (guest.Detached is { } reason)
        {
            (error, text) = (Libc.EPERM, $"guest {guest.Name} is detached: {reason}");
            return false;
        }

        if (guest.NetworkNamespace != 0 && Native.NamespaceOf(pid) != guest.NetworkNamespace)
        {
            (error, text) = (Libc.EACCES, $"the process is not in the network namespace of guest {guest.Name}");
            return false;
        }

        int watch = (int)Libc.Syscall(Native.SysPidfdOpen, pid, 0, 0, 0, 0, 0);
        if (watch < 0)
        {
            (error, text) = (Libc.EPERM, $"cannot watch process {pid}: {Libc.Describe(Libc.Errno)}");
            return false;
        }

        foreach (GuestProcess? before in guest.Processes)
        {
            if (before is { Ending: false } && before.Pid == pid)
            {
                if (HasEnded(before.Fd))
                {
                    ProcessEnded(before); // another process of that pid
                }
                else
                {
                    before.Superseded = true;
                    message.Flags = 1u << 31;
                }
            }
        }

        if (TryTakeSlot(guest, out uint slot))
        {
            Admit(guest, slot, pid, watch, pipe);
            SetName(guest, slot, ref message);
            message.Slot = slot;
            return true;
        }

        _ = Libc.Close(watch);
        (error, text) = (Libc.EMFILE, $"guest {guest.Name} has as many processes with sockets as it can have ({guest.Layout.Counts.QueueSets})");
        return false;
    }

    /// <summary>A free slot; when there is none but processes have ended, the loops get a little time to take leave of them.</summary>
    private bool TryTakeSlot(Guest guest, out uint slot)
    {
        const int Turns = 50;
        for (int turn = 0; ; turn++)
        {
            for (slot = 0; slot < guest.Layout.Counts.QueueSets; slot++)
            {
                if (guest.Processes[slot] == null
                    && Interlocked.CompareExchange(ref guest.SlotOf(slot)->State, ProcessState.Live, ProcessState.Free) == ProcessState.Free)
                {
                    return true;
                }
            }

            foreach (GuestProcess? process in guest.Processes)
            {
                if (turn == 0 && process is { Ending: false, Fd: >= 0 } && HasEnded(process.Fd))
                {
                    ProcessEnded(process);
                }
            }

            if (turn == Turns || !Array.Exists(guest.Processes, process => process is { Ending: true }))
            {
                return false;
            }

            Thread.Sleep(1);
            TakeReaped(guest);
        }
    }

    /// <summary>A child of a process that has claimed a slot for it.</summary>
    private void ForkAttached(GuestConnection connection, uint slot, int pid, int pipe)
    {
        Guest guest = connection.Guest;
        string? problem = guest.IsTornDown ? "guest is detached"
            : slot >= guest.Layout.Counts.QueueSets || guest.Processes[slot] != null ? $"slot {slot} is not free"
            : Volatile.Read(ref guest.SlotOf(slot)->State) == ProcessState.Free ? $"slot {slot} is not claimed"
            : null;
        int watch = problem == null ? (int)Libc.Syscall(Native.SysPidfdOpen, pid, 0, 0, 0, 0, 0) : -1;
        if (problem == null && watch < 0)
        {
            // The child has ended already: it held what its parent gave it.
            guest.Processes[slot] = new GuestProcess(this, guest, slot, pid);
            _ = Libc.Close(pipe);
            BeginReaping(guest.Processes[slot]!);
            return;
        }

        if (problem != null)
        {
            _ = Libc.Close(pipe);
            GuestConnectionEnded(connection, $"fork of process {pid}: {problem}");
            return;
        }

        Admit(guest, slot, pid, watch, pipe);
    }

    private void Admit(Guest guest, uint slot, int pid, int watch, int pipe)
    {
        var process = new GuestProcess(this, guest, slot, pid);
        guest.Processes[slot] = process;
        _sources.Add(process, watch);
        guest.SlotOf(slot)->Pid = (uint)pid;
        guest.SlotOf(slot)->Asleep = 0;
        Volatile.Write(ref guest.Pipes[slot], pipe);
        process.Pipe = new PipeEnd(() => Executed(process));
        _sources.Add(process.Pipe, pipe, 0); // an end without a reader is reported unasked
        OnLoops(loop => loop.Adopt(guest.Id, slot));

        // Only now may a forked child use its queue set: before, its events would have been settled as nobody's, and nothing could wake it.
        Volatile.Write(ref guest.SlotOf(slot)->State, ProcessState.Live);
        guest.Ports[0].Counters->Processes++;
        Log.Info("process-attached", ("guest", guest.Name), ("pid", pid), ("slot", slot));
    }

    private static void SetName(Guest guest, uint slot, ref AttachMessage message) =>
        SeqPacket.Put(new Span<byte>(guest.SlotOf(slot)->Name, 16), NameIn(ref message));
}
