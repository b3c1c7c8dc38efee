namespace NetKernel.Stack;

/// <content>
/// One of several stacks with the same addresses (<see cref="ShardMesh"/>). A packet for which nobody is found goes round: each shard in turn looks whether it is for a socket of its
/// own, so that no table of who has what need be kept in common. Segments that open nothing go round twice: first for their connection, then for a listener, which may have the
/// answer to a cookie, or answers with RST. The last one says that there is nobody.
/// </content>
public sealed unsafe partial class NetworkStack
{
    /// <summary>Its place among the shards, or null.</summary>
    public Shard? Shard { get; }

    /// <summary>Whether another shard may have the socket that was not found here: then the packet is on its way there, or lost.</summary>
    /// <param name="packet">The packet, of which everything but its socket has been checked.</param>
    /// <param name="rounds">How often it goes round.</param>
    internal bool PassOn(in Packet packet, uint rounds = 1)
    {
        if (Shard == null || packet.Visited + 1u >= Shard.Count * rounds)
        {
            return false;
        }

        ShardItem head = new()
        {
            Kind = ShardItemKind.Packet,
            Visited = (byte)(packet.Visited + 1),
            FromSelf = packet.FromSelf,
            GsoSize = packet.GsoSize,
            Mac = packet.Mac,
        };
        SendToShard((Shard.Index + 1) % Shard.Count, in head, packet.Ip, packet.IpLength);
        return true;
    }

    /// <summary>Whether every shard has looked for the packet's connection.</summary>
    internal bool IsSecondRound(in Packet packet) => Shard == null || packet.Visited >= Shard.Count;

    /// <summary>What a neighbour said of itself, for the tables of the others.</summary>
    private void TellShards(ShardItemKind kind, byte* bytes, uint length, ulong mac)
    {
        if (Shard == null)
        {
            return;
        }

        ShardItem head = new() { Kind = kind, Visited = 1, Mac = mac };
        for (uint to = 0; to < Shard.Count; to++)
        {
            if (to != Shard.Index)
            {
                SendToShard(to, in head, bytes, length);
            }
        }
    }

    private void SendToShard(uint to, in ShardItem head, byte* bytes, uint length)
    {
        if (!Shard!.Send(to, in head, bytes, length))
        {
            Counters.Drop(DropReason.ShardFull);
        }
    }

    /// <summary>Takes what another shard passed on. Its checksums are right: that was seen to there.</summary>
    internal void ReceivePassed(ShardItem* item, byte* bytes)
    {
        if (item->Kind == ShardItemKind.Arp)
        {
            ReceiveArp(bytes, item->Length, answers: false);
            return;
        }

        InFrame info = new() { ChecksumGood = true, GsoSize = item->GsoSize };
        ReceiveIp(bytes, item->Length, in info, item->FromSelf, item->Mac, item->Visited);
    }
}
