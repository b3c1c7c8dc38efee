using System.Runtime.InteropServices;
using System.Threading;

namespace NetKernel.Stack;

/// <summary>
/// Messages from one shard to another: a ring of bytes with one writer and one reader, in native memory. Neither waits for the other; what does not fit is refused. Each index has
/// a line of its own, with what only its writer reads beside it.
/// </summary>
internal sealed unsafe class ShardRing : IDisposable
{
    private const uint Bytes = 4 << 20, Align = 64;

    /// <summary>Packets leave this much for messages that must not be lost to a burst of packets.</summary>
    private const uint Spare = 1 << 20;

    private readonly byte* _ring = (byte*)NativeMemory.AlignedAlloc(Bytes, Align);
    private readonly Indices* _at = (Indices*)NativeMemory.AlignedAlloc((nuint)sizeof(Indices), Align);

    public ShardRing() => *_at = default;

    /// <summary>Reader: whether something waits.</summary>
    public bool HasNews => _at->Head != Volatile.Read(ref _at->Tail);

    /// <summary>Writer: room for a message of that many bytes, or null. Nobody sees it before <see cref="Commit"/>.</summary>
    public ShardItem* TryReserve(uint length, bool isPacket)
    {
        if (length > Bytes / 4)
        {
            return null;
        }

        uint need = (uint)sizeof(ShardItem) + length;
        need = (need + Align - 1) & ~(Align - 1);
        uint offset = (uint)_at->Staged & (Bytes - 1);
        uint skip = offset + need > Bytes ? Bytes - offset : 0;
        ulong end = _at->Staged + skip + need;
        uint most = isPacket ? Bytes - Spare : Bytes;
        if (end - _at->SeenHead > most)
        {
            _at->SeenHead = Volatile.Read(ref _at->Head); // pairs with the reader's write in Release
            if (end - _at->SeenHead > most)
            {
                return null;
            }
        }

        if (skip != 0)
        {
            *(ShardItem*)(_ring + offset) = new ShardItem { Kind = ShardItemKind.Skip, Length = skip };
            offset = 0;
        }

        _at->Reserved = end;
        ShardItem* item = (ShardItem*)(_ring + offset);
        *item = default;
        item->Length = length;
        return item;
    }

    /// <summary>Writer: what was reserved last is complete.</summary>
    public void Commit()
    {
        _at->Staged = _at->Reserved;
        Volatile.Write(ref _at->Tail, _at->Staged); // the message's bytes come before
    }

    /// <summary>Reader: the oldest message, or null. It stays until <see cref="Release"/>.</summary>
    public ShardItem* TryRead()
    {
        for (; ; )
        {
            if (_at->Head == _at->SeenTail)
            {
                _at->SeenTail = Volatile.Read(ref _at->Tail); // pairs with Commit
                if (_at->Head == _at->SeenTail)
                {
                    return null;
                }
            }

            ShardItem* item = (ShardItem*)(_ring + ((uint)_at->Head & (Bytes - 1)));
            if (item->Kind != ShardItemKind.Skip)
            {
                return item;
            }

            Volatile.Write(ref _at->Head, _at->Head + item->Length);
        }
    }

    /// <summary>Reader: done with the oldest message.</summary>
    public void Release(ShardItem* item)
    {
        uint need = ((uint)sizeof(ShardItem) + item->Length + Align - 1) & ~(Align - 1);
        Volatile.Write(ref _at->Head, _at->Head + need);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_ring);
        NativeMemory.AlignedFree(_at);
    }

    /// <summary>Bytes ever written and read. Tail, Staged, Reserved and SeenHead are the writer's, Head and SeenTail the reader's.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Indices
    {
        [FieldOffset(0)] public ulong Tail;
        [FieldOffset(8)] public ulong Staged;
        [FieldOffset(16)] public ulong Reserved;
        [FieldOffset(24)] public ulong SeenHead;
        [FieldOffset(128)] public ulong Head;
        [FieldOffset(136)] public ulong SeenTail;
    }
}

/// <summary>What a message between shards is.</summary>
public enum ShardItemKind : byte
{
    /// <summary>An IP packet.</summary>
    Packet,

    /// <summary>What ARP said (RFC 826), for all shards' tables.</summary>
    Arp,

    /// <summary>Something between the owners of the stacks.</summary>
    Owner,

    /// <summary>The rest of the ring is not used.</summary>
    Skip,
}

/// <summary>The head of a message between shards; its bytes follow.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct ShardItem
{
    /// <summary>Bytes that follow.</summary>
    public uint Length;

    /// <summary>What it is.</summary>
    public ShardItemKind Kind;

    /// <summary>A packet: shards that have looked at it, and found nothing of theirs.</summary>
    public byte Visited;

    /// <summary>A packet: it never was on a link.</summary>
    public bool FromSelf;

    /// <summary>A packet: segments of that many bytes were put together; 0: none.</summary>
    public uint GsoSize;

    /// <summary>A packet: the station that sent it; 0: unknown.</summary>
    public ulong Mac;
}
