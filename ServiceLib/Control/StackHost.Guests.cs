using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>Guests coming and going, as CoreEngine says on the local socket.</content>
public sealed unsafe partial class StackHost
{
    private const uint MaxGuests = 1 << 20;

    private void HearEngine()
    {
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        for (; ; )
        {
            int count = SeqPacket.Receive(_channel.Socket, out AttachMessage message, fds, out _);
            if (count == -Libc.EAGAIN)
            {
                return;
            }

            if (count < 0)
            {
                _exit = HostExit.EngineGone;
                return;
            }

            if (message.Op is AttachOp.GuestAdded or AttachOp.GuestRemoved or AttachOp.GuestChanged)
            {
                ChangeGuest(in message, fds[..count]);
            }
            else
            {
                SeqPacket.CloseAll(fds[..count]);
            }
        }
    }

    private int AddGuest(in AttachMessage message, ReadOnlySpan<int> fds)
    {
        PoolLayout pool = message.Pool;
        uint id = message.Guest;
        if (fds.Length != 1 || id >= MaxGuests || pool.Length > uint.MaxValue || pool.Tx.Total == 0 || pool.Rx.Total == 0
            || (pool.Tx.Small | pool.Tx.Medium | pool.Tx.Large | pool.Rx.Small | pool.Rx.Medium | pool.Rx.Large) > 1 << 22
            || (ulong)NsmChannel.FileLength(fds[0]) < pool.Length)
        {
            return Libc.EINVAL;
        }

        if (FindGuest(id) != null)
        {
            return Libc.EEXIST;
        }

        // The guest writes the TX half while the NSM reads it; the NSM has no business writing there.
        nint tx = Libc.Map(0, (nuint)pool.Tx.Bytes, Libc.PROT_READ, Libc.MAP_SHARED, fds[0], (long)PoolLayout.TxOffset);
        int error = Libc.Errno;
        if (tx == -1)
        {
            return error;
        }

        nint rx = Libc.Map(0, (nuint)pool.Rx.Bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, fds[0], (long)pool.RxOffset);
        error = Libc.Errno;
        if (rx == -1)
        {
            _ = Libc.Unmap(tx, (nuint)pool.Tx.Bytes);
            return error;
        }

        if (id >= (uint)_guests.Length)
        {
            Array.Resize(ref _guests, (int)System.Numerics.BitOperations.RoundUpToPowerOf2(id + 1));
        }

        Guest guest = new(in message, (byte*)tx, (byte*)rx, _shard, _shards);
        _guests[id] = guest;
        GuestMeasures* measures = _measures == null || _shard != 0 ? null : _measures.Guest(id);
        if (measures != null)
        {
            *measures = default;
            measures->Since = Libc.Now;
        }

        _stack.GuestAdded(guest);
        return 0;
    }

    private int RemoveGuest(uint id)
    {
        Guest? guest = FindGuest(id);
        if (guest == null)
        {
            return Libc.ENOENT;
        }

        while (guest.First != null)
        {
            DropConnection(guest.First);
        }

        _guests[id] = null;
        _stack.GuestRemoved(guest);
        guest.Unmap();
        return 0;
    }

    /// <summary>At the end of the loop: every guest's connections end.</summary>
    private void Drop()
    {
        PublishAll();
        for (uint id = 0; id < (uint)_guests.Length; id++)
        {
            _ = RemoveGuest(id);
        }

        _stack.CountDropsAt(null);
        EndShards();
        if (_shard == 0)
        {
            _measures?.Dispose();
        }

        Reports.Dispose();
        _ = Libc.Close(Epoll);
    }
}
