using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>A guest of this NSM: its addresses and its pool, of which the NSM may read the TX half and write the RX half.</summary>
public sealed unsafe class Guest
{
    private readonly PoolLayout _layout;
    private readonly PoolHalf _txHalf;
    private readonly byte* _tx;
    private readonly byte* _rx;
    private readonly ulong _rxOffset;

    /// <summary>A guest whose halves are mapped.</summary>
    internal Guest(in AttachMessage message, byte* tx, byte* rx, uint shard = 0, uint shards = 1)
    {
        Id = message.Guest;
        Address4 = message.Address4;
        Address6Low = message.Address6Low;
        Address6High = message.Address6High;
        _layout = message.Pool;
        _txHalf = _layout.TxHalf;
        _tx = tx;
        _rx = rx;
        _rxOffset = _layout.RxOffset;

        // The part that is this NSM's, and of that the share of this one of its threads.
        uint part = (message.Flags >> RegionFlags.RxPartShift) & 7;
        bool divided = part is > 0 and <= RegionFlags.RxParts;
        uint first = divided ? part - 1 : 0, parts = divided ? RegionFlags.RxParts : 1;
        Rx = new RxPool(_layout.RxHalf.Part((first * shards) + shard, parts * shards));
    }

    /// <summary>Guest id.</summary>
    public uint Id { get; }

    /// <summary>IPv4 address, network order; 0: none.</summary>
    public uint Address4 { get; }

    /// <summary>IPv6 address, first half.</summary>
    public ulong Address6Low { get; }

    /// <summary>IPv6 address, second half.</summary>
    public ulong Address6High { get; }

    /// <summary>The congestion control of its sockets of which their program says nothing, as <see cref="INetworkStack.FindCongestion"/> numbers them; 0: the NSM's.</summary>
    public int Congestion { get; internal set; }

    /// <summary>Whether it has an IPv6 address.</summary>
    public bool HasIPv6 => (Address6Low | Address6High) != 0;

    /// <summary>The RX half's allocator.</summary>
    public RxPool Rx { get; }

    /// <summary>TX chunks of its pool.</summary>
    public uint TxChunks => _layout.Tx.Total;

    /// <summary>Sends of connections that are being closed and cannot get rid of them. The stack's to count.</summary>
    public uint OrphanSends { get; set; }

    /// <summary>All its connections.</summary>
    internal Connection* First { get; set; }

    /// <summary>Those that are scheduled, in the order of their turns; whether the guest stands in the line of those that have some, and who is behind it.</summary>
    internal Connection* FirstReady { get; set; }

    internal Connection* LastReady { get; set; }

    internal bool IsReady { get; set; }

    internal Guest? NextReady { get; set; }

    /// <summary>Those that wait for pool space, oldest first.</summary>
    internal Connection* FirstWaiter { get; set; }

    /// <summary>The youngest of them.</summary>
    internal Connection* LastWaiter { get; set; }

    /// <summary>Whether the bytes lie within one chunk of the TX half.</summary>
    public bool IsTx(ulong offset, uint size) => _txHalf.TryFind(offset, size, out _);

    /// <summary>Where TX bytes lie that <see cref="IsTx"/> accepted.</summary>
    public byte* TxAt(uint offset) => _tx + (offset - PoolLayout.TxOffset);

    /// <summary>Where an RX chunk lies.</summary>
    public byte* RxAt(uint chunk) => _rx + (Rx.OffsetOf(chunk) - _rxOffset);

    internal void Enter(Connection* c)
    {
        c->GuestPrevious = null;
        c->GuestNext = First;
        if (First != null)
        {
            First->GuestPrevious = c;
        }

        First = c;
    }

    internal void Leave(Connection* c)
    {
        if (c->GuestPrevious != null)
        {
            c->GuestPrevious->GuestNext = c->GuestNext;
        }
        else
        {
            First = c->GuestNext;
        }

        if (c->GuestNext != null)
        {
            c->GuestNext->GuestPrevious = c->GuestPrevious;
        }
    }

    internal void Unmap()
    {
        Rx.Release();
        _ = Libc.Unmap((nint)_tx, (nuint)_layout.Tx.Bytes);
        _ = Libc.Unmap((nint)_rx, (nuint)_layout.Rx.Bytes);
    }
}
