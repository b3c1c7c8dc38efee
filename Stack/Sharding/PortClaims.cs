using System.Runtime.InteropServices;
using System.Threading;

namespace NetKernel.Stack;

/// <summary>How a shard's sockets hold a port.</summary>
[Flags]
public enum PortClaim : byte
{
    /// <summary>They do not.</summary>
    None = 0,

    /// <summary>At least one is bound to it.</summary>
    Bound = 1,

    /// <summary>All of them with SO_REUSEADDR.</summary>
    ReuseAddress = 2,

    /// <summary>All of them with SO_REUSEPORT.</summary>
    ReusePort = 4,

    /// <summary>One of them listens.</summary>
    Listens = 8,
}

/// <summary>
/// Which ports the shards have bound: a word per address, protocol and port, with a byte per shard, changed by compare and swap. So two processes on two shards cannot bind one port,
/// and no shard waits for another. Only bind(2), listen(2) and their end look at it, not packets.
/// </summary>
internal sealed unsafe class PortClaims : IDisposable
{
    private const int Ports = 1 << 16, MaxAddresses = 4096;
    private readonly Lock _adding = new();
    private readonly Entry[] _entries = new Entry[MaxAddresses];
    private int _count;

    /// <summary>A shard answers for an address from now on. Control path.</summary>
    public void Add(in Address address)
    {
        lock (_adding)
        {
            int free = -1;
            for (int i = 0; i < _count; i++)
            {
                if (_entries[i].Uses != 0 && _entries[i].Address == address)
                {
                    _entries[i].Uses++;
                    return;
                }

                free = _entries[i].Uses == 0 ? i : free;
            }

            if (free < 0 && _count == MaxAddresses)
            {
                return; // Its ports are then each shard's own affair.
            }

            // Calloc maps zero pages: memory is used where a port is.
            int at = free >= 0 ? free : _count;
            ulong* words = free >= 0 ? _entries[at].Words : (ulong*)NativeMemory.AllocZeroed(2 * Ports, sizeof(ulong));
            _entries[at] = new Entry { Address = address, Uses = 1, Words = words };
            if (free < 0)
            {
                Volatile.Write(ref _count, _count + 1);
            }
        }
    }

    /// <summary>A shard has let go of an address, and of its sockets there.</summary>
    public void Remove(in Address address)
    {
        lock (_adding)
        {
            for (int i = 0; i < _count; i++)
            {
                if (_entries[i].Uses != 0 && _entries[i].Address == address)
                {
                    _entries[i].Uses--;
                }
            }
        }
    }

    /// <summary>
    /// Makes a shard's claim that one, if the other shards' allow what is asked for: to bind (<paramref name="listens"/> false), or to listen, by the rules of socket(7) for
    /// SO_REUSEADDR and SO_REUSEPORT.
    /// </summary>
    public bool TryClaim(bool udp, in Address address, ushort port, uint shard, PortClaim claim, bool listens)
    {
        ulong* word = WordOf(udp, address, port);
        if (word == null)
        {
            return true;
        }

        ulong old = Volatile.Read(ref *word);
        for (; ; )
        {
            for (int other = 0; other < sizeof(ulong); other++)
            {
                PortClaim theirs = (PortClaim)(byte)(old >> (other * 8));
                if (other == (int)shard || theirs == PortClaim.None || (theirs & claim & PortClaim.ReusePort) != 0)
                {
                    continue;
                }

                bool conflict = listens
                    ? (theirs & PortClaim.Listens) != 0
                    : (theirs & claim & PortClaim.ReuseAddress) == 0 || (theirs & PortClaim.Listens) != 0;
                if (conflict)
                {
                    return false;
                }
            }

            ulong now = Interlocked.CompareExchange(ref *word, With(old, shard, claim), old);
            if (now == old)
            {
                return true;
            }

            old = now;
        }
    }

    /// <summary>What is left of a shard's claim.</summary>
    public void Set(bool udp, in Address address, ushort port, uint shard, PortClaim claim)
    {
        ulong* word = WordOf(udp, address, port);
        if (word == null)
        {
            return;
        }

        ulong old = Volatile.Read(ref *word);
        for (; ; )
        {
            ulong now = Interlocked.CompareExchange(ref *word, With(old, shard, claim), old);
            if (now == old)
            {
                return;
            }

            old = now;
        }
    }

    /// <summary>Whether another shard holds a port.</summary>
    public bool IsElsewhere(bool udp, in Address address, ushort port, uint shard)
    {
        ulong* word = WordOf(udp, address, port);
        return word != null && With(Volatile.Read(ref *word), shard, PortClaim.None) != 0;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            NativeMemory.Free(_entries[i].Words);
        }
    }

    private static ulong With(ulong word, uint shard, PortClaim claim) => (word & ~(0xFFul << (int)(shard * 8))) | ((ulong)claim << (int)(shard * 8));

    private ulong* WordOf(bool udp, in Address address, ushort port)
    {
        int count = Volatile.Read(ref _count);
        for (int i = 0; i < count; i++)
        {
            if (_entries[i].Address == address)
            {
                return _entries[i].Words + (udp ? Ports : 0) + port;
            }
        }

        return null;
    }

    private struct Entry
    {
        public Address Address;
        public int Uses;
        public ulong* Words;
    }
}
