using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Sockets that somebody has who is not among their holders, and programs that take a process over.</summary>
internal sealed unsafe partial class Engine
{
    /// <summary>What a guest's process only tells. False when the message is something else.</summary>
    private bool TryTold(Guest guest, ref AttachMessage message, ReadOnlySpan<int> fds, int pid)
    {
        if (message.Op is not (AttachOp.Adopted or AttachOp.Export or AttachOp.Left or AttachOp.Nudge) || fds.Length != (message.Op == AttachOp.Export ? 1 : 0))
        {
            return false;
        }

        if (!guest.IsTornDown)
        {
            switch (message.Op)
            {
                case AttachOp.Adopted:
                    Adopted(guest, pid);
                    break;
                case AttachOp.Export when message.Slot < guest.Layout.Counts.Sockets:
                    Export(guest, message.Slot, fds[0]);
                    break;
                case AttachOp.Left when message.Slot < guest.Layout.Counts.Sockets:
                    Left(guest, message.Slot);
                    break;
                case AttachOp.Nudge when message.Slot < guest.Layout.Counts.QueueSets:
                    guest.Ports[0].Nudge(message.Slot);
                    break;
            }
        }

        SeqPacket.CloseAll(fds);
        return true;
    }

    private void Export(Guest guest, uint socket, int fd)
    {
        // The claim that the file is the socket's need not be true: it decides only when that guest's socket is closed.
        ulong inode = Native.SocketOf(fd);
        if (inode != 0 && Volatile.Read(ref guest.SocketOf(socket)->Inode) == inode && _exports.TryAdd(guest, socket, inode, fd))
        {
            guest.Exports++;
        }
    }

    /// <summary>The last holder of an exported socket is gone: it is closed with its file, which may be now.</summary>
    private void Left(Guest guest, uint socket)
    {
        if (!_exports.Watches(Volatile.Read(ref guest.SocketOf(socket)->Inode)))
        {
            // Who exported it may have said so over another connection, where it waits: that is read first.
            _ = guest.LeftUnwatched.Add(socket);
            return;
        }

        _exports.LookAgain(soon: true);
        CheckExports();
    }

    /// <summary>After everything that waits has been read: sockets that their last holder has left and that nobody has exported.</summary>
    private void SettleLeft()
    {
        foreach (Guest guest in _guests.Values)
        {
            if (guest.LeftUnwatched.Count == 0)
            {
                continue;
            }

            uint[] left = [.. guest.LeftUnwatched];
            guest.LeftUnwatched.Clear();
            foreach (GuestConnection connection in guest.Connections.ToArray())
            {
                connection.Drain();
            }

            foreach (uint socket in left)
            {
                if (!guest.IsTornDown && !_exports.Watches(Volatile.Read(ref guest.SocketOf(socket)->Inode)))
                {
                    Close(guest, socket);
                }
            }

            _exports.LookAgain(soon: true);
        }
    }

    /// <summary>Closes the exported sockets that nobody holds and whose files are gone.</summary>
    private void CheckExports()
    {
        if (!AnyUnheld())
        {
            _exports.Rest();
            return;
        }

        foreach (ExportWatch.Entry gone in _exports.TakeGone())
        {
            SocketSlot* s = gone.Guest.SocketOf(gone.Socket);
            gone.Guest.Exports--;
            if (Volatile.Read(ref s->Inode) == gone.Inode)
            {
                Close(gone.Guest, gone.Socket);
            }
        }

        if (AnyUnheld())
        {
            _exports.LookAgain(soon: false);
        }
        else
        {
            _exports.Rest();
        }
    }

    private bool AnyUnheld()
    {
        foreach (ExportWatch.Entry entry in _exports.Entries)
        {
            if (entry.Guest.SocketOf(entry.Socket)->Holders.IsEmpty)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Closes a socket if nobody holds it; if somebody does, by the books alone, it is closed with the last one as any other.</summary>
    private void Close(Guest guest, uint socket)
    {
        Volatile.Write(ref guest.SocketOf(socket)->Exported, 0u);
        OnLoops(loop => loop.CloseUnheld(guest.Id, socket));
    }

    /// <summary>
    /// Nobody reads a process's pipe any more though it lives: it has executed another program. Of its sockets those are left that the new one has inherited.
    /// When there are any, the new program attaches on its own account, if it has the library; when not, they are its until it ends.
    /// </summary>
    private void Executed(GuestProcess process)
    {
        _sources.Remove(process.Pipe!);
        Guest guest = process.Guest;
        if (process.Ending || guest.IsTornDown)
        {
            return;
        }

        if (HasEnded(process.Fd))
        {
            ProcessEnded(process);
            return;
        }

        if (Native.SocketsOf(process.Pid) is not { } inodes)
        {
            return; // it has just ended: its pidfd says so
        }

        uint slot = process.Slot;
        uint high = Math.Min(Volatile.Read(ref guest.Header->SocketHigh), guest.Layout.Counts.Sockets);
        var kept = new ProcessKept(guest.Layout.Counts.Sockets);
        for (uint socket = 0; socket < high; socket++)
        {
            SocketSlot* s = guest.SocketOf(socket);
            if (s->Holders.Has(slot) && inodes.Contains(Volatile.Read(ref s->Inode)))
            {
                kept.Add(socket);
            }
        }

        Log.Info("process-executed", ("guest", guest.Name), ("pid", process.Pid), ("slot", slot), ("kept", kept.Count));
        if (kept.Count == 0)
        {
            BeginReaping(process);
        }
        else
        {
            OnLoops(loop => loop.ProcessExecuted(guest.Id, slot, kept));
        }
    }

    /// <summary>A process holds by its new slot what it had before its exec.</summary>
    private void Adopted(Guest guest, int pid)
    {
        foreach (GuestProcess? process in guest.Processes)
        {
            if (process is { Superseded: true, Ending: false } && process.Pid == pid)
            {
                Log.Info("process-adopted", ("guest", guest.Name), ("pid", pid), ("slot", process.Slot));
                BeginReaping(process);
            }
        }
    }
}
