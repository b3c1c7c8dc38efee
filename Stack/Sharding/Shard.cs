namespace NetKernel.Stack;

/// <summary>One stack's place in a <see cref="ShardMesh"/>. Its thread's alone.</summary>
public sealed unsafe class Shard(ShardMesh mesh, uint index)
{
    private const uint MostPerTurn = 256;
    private uint _next;

    /// <summary>Its number, from 0.</summary>
    public uint Index { get; } = index;

    /// <summary>Shards in all.</summary>
    public uint Count => mesh.Count;

    /// <summary>Those that were sent something since somebody cleared it, a bit each: they may have to be woken.</summary>
    public uint Told { get; set; }

    internal PortClaims Claims => mesh.Claims;

    /// <summary>Whether something waits here: to be asked once more before sleeping.</summary>
    public bool HasNews
    {
        get
        {
            for (uint from = 0; from < Count; from++)
            {
                if (from != Index && mesh.Ring(from, Index).HasNews)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>Whether packets of that flow come here first.</summary>
    public bool IsHome(in Address local, in Address remote, ushort localPort, ushort remotePort) =>
        FlowHash.ShardOf(local, remote, localPort, remotePort, mesh.Key, Count) == Index;

    /// <summary>Room for a message of the owner's to another shard, or null. The bytes behind it are to be filled before <see cref="Commit"/>.</summary>
    public ShardItem* TryReserve(uint to, uint length)
    {
        ShardItem* item = mesh.Ring(Index, to).TryReserve(length, isPacket: false);
        if (item != null)
        {
            item->Kind = ShardItemKind.Owner;
        }

        return item;
    }

    /// <summary>The message that was reserved last is complete.</summary>
    public void Commit(uint to)
    {
        mesh.Ring(Index, to).Commit();
        Told |= 1u << (int)to;
    }

    /// <summary>Takes what others have sent: packets to the stack, the rest to its owner. Returns how many.</summary>
    public uint Drain(NetworkStack stack, IShardOwner owner)
    {
        uint count = 0;
        for (uint i = 0; i < Count; i++)
        {
            // Each turn another one is first: none has the others wait for ever.
            uint from = (_next + i) % Count;
            if (from == Index)
            {
                continue;
            }

            ShardRing ring = mesh.Ring(from, Index);
            ShardItem* item;
            for (uint n = 0; n < MostPerTurn && (item = ring.TryRead()) != null; n++)
            {
                byte* bytes = (byte*)(item + 1);
                if (item->Kind != ShardItemKind.Owner)
                {
                    stack.ReceivePassed(item, bytes);
                }
                else if (!owner.Told(from, bytes, item->Length))
                {
                    break;
                }

                ring.Release(item);
                count++;
            }
        }

        _next++;
        return count;
    }

    /// <summary>Sends a packet to another shard; false when its ring is full.</summary>
    internal bool Send(uint to, in ShardItem head, byte* bytes, uint length)
    {
        ShardRing ring = mesh.Ring(Index, to);
        ShardItem* item = ring.TryReserve(length, isPacket: true);
        if (item == null)
        {
            return false;
        }

        *item = head;
        item->Length = length;
        Buffer.MemoryCopy(bytes, item + 1, length, length);
        ring.Commit();
        Told |= 1u << (int)to;
        return true;
    }
}

/// <summary>Who has a stack that is a shard.</summary>
public unsafe interface IShardOwner
{
    /// <summary>A message of another shard's owner. The bytes are the ring's again when this returns true; false: it comes again, before all others of that shard.</summary>
    bool Told(uint from, byte* bytes, uint length);
}
