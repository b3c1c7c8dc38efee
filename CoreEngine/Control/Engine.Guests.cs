using System.ComponentModel;
using System.IO;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>Guests: made, removed, detached.</summary>
internal sealed unsafe partial class Engine
{
    private void AddGuest(EnginePeer peer, ref AttachMessage message)
    {
        string name = NameIn(ref message);
        string? problem = message.Guest is 0 or >= SwitchLoop.MaxGuests ? $"guest ids are 1 to {SwitchLoop.MaxGuests - 1}"
            : message.Nsm is 0 or >= SwitchLoop.MaxNsms ? $"NSM ids are 1 to {SwitchLoop.MaxNsms - 1}"
            : !Guest.IsName(name) ? "a guest's name is 1 to 39 letters, digits, '-', '_' and '.', not starting with a dot"
            : !Guest.IsPool(message.Pool) ? "a pool needs chunks both ways, at most a million each"
            : message.Limits.PoolBytes is not 0 and < PoolSize.Least ? $"a limit of pool memory is at least {PoolSize.Least} bytes"
            : null;
        if (problem != null)
        {
            Reply(peer, message, Libc.EINVAL, problem);
            return;
        }

        foreach (Guest other in _guests.Values)
        {
            if (other.Id == message.Guest || other.Name == name)
            {
                Reply(peer, message, Libc.EEXIST, $"guest {other.Id} ({other.Name}) is there already");
                return;
            }
        }

        Guest guest;
        try
        {
            guest = new Guest(message, name, (uint)_loops.Length, _options.HugePages, _options.SharedMemory, _stats);
            guest.SocketPath = Path.Combine(_options.GuestDirectory, name + ".sock");
            File.Delete(guest.SocketPath);
            guest.Listener = Listen(guest.SocketPath, 0x1B6, fd => AcceptProcesses(guest, fd)); // 0666
        }
        catch (Exception e) when (e is Win32Exception or IOException or OutOfMemoryException)
        {
            Log.Error("guest-refused", ("guest", name), ("reason", e.Message));
            Reply(peer, message, Libc.ENOMEM, e.Message);
            return;
        }

        guest.Limits.Set(default, _options.ConnectionRate, Libc.Now);
        foreach (GuestPort port in guest.Ports)
        {
            port.Own = guest.Limits;
            port.Tenants = AllowanceOf(guest.Tenant);
        }

        _guests.Add(guest.Id, guest);
        _reach.Set(guest.Id, guest.Tenant, guest.Flags);
        _reach.SetLimited(guest.Id, IsLimited(guest));
        OnLoops(loop => loop.AddGuest(guest.Ports[loop.Index]));
        Log.Info("guest-added", ("guest", name), ("id", guest.Id), ("nsm", guest.NsmId), ("hugepages", guest.PoolIsHuge ? "yes" : "no"));
        if (_nsms.TryGetValue(guest.SharedId, out Nsm? shared) && shared.Peer != null)
        {
            Introduce(shared, guest);
        }

        if (_nsms.TryGetValue(guest.NsmId, out Nsm? nsm) && nsm.Peer != null)
        {
            guest.Waiting = peer; // answered when the NSM has mapped the pool
            Introduce(nsm, guest);
        }
        else
        {
            Reply(peer, message, 0, "");
        }
    }

    private void RemoveGuest(EnginePeer peer, ref AttachMessage message)
    {
        if (!_guests.TryGetValue(message.Guest, out Guest? guest))
        {
            Reply(peer, message, Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        Remove(guest);
        Reply(peer, message, 0, "");
    }

    private void Remove(Guest guest)
    {
        if (guest.Waiting is { } waiting)
        {
            guest.Waiting = null;
            Reply(waiting, guest.Message(AttachOp.AddGuest), Libc.ENOENT, "removed before its NSM had answered");
        }

        AnswerUse(guest, guest.WaitingUse?.Nsm ?? 0, Libc.ENOENT, "removed before its NSM had answered");
        ReplyCongestion(guest);
        Withdraw(guest);
        CloseGuest(guest);
        _ = _guests.Remove(guest.Id);
        _reach.Remove(guest.Id);
        Log.Info("guest-removed", ("guest", guest.Name), ("id", guest.Id));
    }

    /// <summary>The guest broke the rules: it is cut off, and stays in the list with the reason until it is removed.</summary>
    private void Detach(Guest guest, string reason)
    {
        guest.Detached = reason;
        Withdraw(guest);
        foreach (GuestConnection connection in guest.Connections)
        {
            connection.Close();
        }

        guest.Connections.Clear();
        Log.Warn("guest-detached", ("guest", guest.Name), ("id", guest.Id), ("reason", reason));
        Tell(guest.Message(AttachOp.GuestDetached), reason);
    }

    /// <summary>Loops, processes and NSM let go of a guest.</summary>
    private void Withdraw(Guest guest)
    {
        if (guest.IsTornDown)
        {
            return;
        }

        Volatile.Write(ref guest.Header->State, RegionState.Detached);
        OnLoops(loop => loop.RemoveGuest(guest.Id));
        foreach (GuestProcess? process in guest.Processes)
        {
            if (process != null)
            {
                Unwatch(process);
            }
        }

        _exports.Forget(guest);

        Array.Clear(guest.Processes);
        guest.TearDown();
        for (int part = 0; part < GuestPort.MaxOwn; part++)
        {
            if (guest.Own[part] != 0 && !guest.Leaving[part])
            {
                Withdraw(guest, guest.Own[part]);
            }
        }

        if (guest.SharedId != 0)
        {
            Withdraw(guest, guest.SharedId);
        }
    }

    private void Withdraw(Guest guest, uint nsmId)
    {
        if (_nsms.TryGetValue(nsmId, out Nsm? nsm) && nsm.Peer != null)
        {
            nsm.Asked.Add((AttachOp.GuestRemoved, guest.Id));
            nsm.Peer.Send(guest.Message(AttachOp.GuestRemoved));
        }
        else
        {
            OnLoops(loop => loop.FreeZombies(guest.Id, nsmId));
        }
    }

    private void CloseGuest(Guest guest)
    {
        foreach (GuestConnection connection in guest.Connections)
        {
            connection.Close();
        }

        guest.Connections.Clear();
        if (guest.Listener is { } listener)
        {
            _sources.Remove(listener);
            guest.Listener = null;
        }

        File.Delete(guest.SocketPath);
    }
}
