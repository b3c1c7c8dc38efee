using System.Runtime.InteropServices;
using System.Threading;
using NetKernel.ServiceLib;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>The threads of an NSM of several cores: the mesh of their stacks, who of them sleeps, and how to wake it.</summary>
internal sealed unsafe class ShardGroup : IDisposable
{
    private const int LineWords = 128 / sizeof(uint);
    private readonly StackHost?[] _hosts;

    /// <summary>A word per shard, a line apart: 1 while it sleeps. Its shard sets it, whoever wakes it clears it.</summary>
    private readonly uint* _asleep;

    /// <summary>A group of that many, of one random seed.</summary>
    public ShardGroup(uint count)
    {
        Span<byte> seed = stackalloc byte[16];
        System.Security.Cryptography.RandomNumberGenerator.Fill(seed);
        Seed0 = BitConverter.ToUInt64(seed);
        Seed1 = BitConverter.ToUInt64(seed[8..]);
        Key = (uint)System.Security.Cryptography.RandomNumberGenerator.GetInt32(int.MaxValue);
        Mesh = count > 1 ? new ShardMesh(count, Key) : null;
        _hosts = new StackHost?[count];
        _asleep = (uint*)NativeMemory.AllocZeroed(count, LineWords * sizeof(uint));
    }

    /// <summary>The mesh; null with one core.</summary>
    public ShardMesh? Mesh { get; }

    /// <summary>Seeds of every stack's random source.</summary>
    public ulong Seed0 { get; }

    /// <summary>The other half.</summary>
    public ulong Seed1 { get; }

    /// <summary>Key of the hash by which links and stacks choose a shard.</summary>
    public uint Key { get; }

    /// <summary>A shard's host, before any of them runs.</summary>
    public void Enter(uint shard, StackHost host) => _hosts[shard] = host;

    /// <summary>The shard is about to sleep. True: it may not, something has come.</summary>
    public bool Sleeps(Shard shard)
    {
        Volatile.Write(ref _asleep[shard.Index * LineWords], 1u);

        // Pairs with the fence in WakeTold: either that sees us asleep, or we see what it has sent.
        Interlocked.MemoryBarrier();
        if (!shard.HasNews)
        {
            return false;
        }

        Wakes(shard);
        return true;
    }

    /// <summary>The shard is awake.</summary>
    public void Wakes(Shard shard)
    {
        if (_asleep[shard.Index * LineWords] != 0)
        {
            Volatile.Write(ref _asleep[shard.Index * LineWords], 0u);
        }
    }

    /// <summary>Wakes those that a shard has sent something to, and that sleep.</summary>
    public void WakeTold(Shard shard)
    {
        uint told = shard.Told;
        if (told == 0)
        {
            return;
        }

        shard.Told = 0;
        Interlocked.MemoryBarrier();
        for (; told != 0; told &= told - 1)
        {
            int to = System.Numerics.BitOperations.TrailingZeroCount(told);
            ref uint asleep = ref _asleep[to * LineWords];
            if (Volatile.Read(ref asleep) == 1 && Interlocked.Exchange(ref asleep, 0) == 1)
            {
                _hosts[to]!.Wake();
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mesh?.Dispose();
        NativeMemory.Free(_asleep);
    }
}
