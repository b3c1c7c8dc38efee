namespace NetKernel.Stack;

/// <summary>
/// Which shard a flow's packets come to. A hash that a classic BPF program can compute, too (<c>PACKET_FANOUT_CBPF</c>): the last four bytes of both addresses and the word of both ports,
/// XORed with a key, times the golden ratio. It need not be right for every packet: what comes to the wrong shard is passed on.
/// </summary>
public static class FlowHash
{
    /// <summary>2^32 divided by the golden ratio.</summary>
    public const uint Multiplier = 0x9E3779B1;

    /// <summary>The bits above these are the better ones.</summary>
    public const int Shift = 16;

    /// <summary>The shard, of that many, for packets from the remote end to the local one.</summary>
    public static uint ShardOf(in Address local, in Address remote, ushort localPort, ushort remotePort, uint key, uint shards)
    {
        uint x = LastWord(local) ^ LastWord(remote) ^ (((uint)remotePort << 16) | localPort) ^ key;
        return ((x * Multiplier) >> Shift) % shards;
    }

    private static uint LastWord(in Address address) => System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((uint)(address.High >> 32));
}
