using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// Puts fragments together (RFC 791, 3.2; RFC 8200, 4.5). A fixed number of datagrams at a time; the oldest makes room. Fragments that overlap end their
/// datagram, as RFC 5722 demands for IPv6 and as is wise for IPv4.
/// </summary>
internal sealed unsafe class Reassembler : IDisposable
{
    private const int Slots = 32, MaxRanges = 64;
    private const uint MaxBytes = 65535;

    /// <summary>Room in front of a datagram for the header that it would have had in one piece.</summary>
    public const int Headroom = 64;

    private readonly Slot[] _slots = new Slot[Slots];
    private readonly StackCounters _counters;

    public Reassembler(StackCounters counters) => _counters = counters;

    /// <summary>Adds a fragment. True when the datagram is complete: it lies at <paramref name="datagram"/> until the next call.</summary>
    public bool Add(in FragmentKey key, uint offset, bool more, byte* data, uint length, long now, out byte* datagram, out uint total)
    {
        datagram = null;
        total = 0;
        if (length == 0 || (more && length % 8 != 0) || offset + length > MaxBytes)
        {
            _counters.Drop(DropReason.BadFragment);
            return false;
        }

        ref Slot slot = ref Claim(key, now);
        uint end = offset + length;
        if (slot.Poisoned || (slot.Total != 0 && end > slot.Total) || (!more && slot.Total != 0 && slot.Total != end) || (!more && slot.Highest > end))
        {
            Poison(ref slot);
            return false;
        }

        int insert = 0;
        while (insert < slot.Ranges && slot.From[insert] < offset)
        {
            insert++;
        }

        if (insert < slot.Ranges && slot.From[insert] == offset && slot.To[insert] == end)
        {
            return false; // The same once more.
        }

        if ((insert > 0 && slot.To[insert - 1] > offset) || (insert < slot.Ranges && slot.From[insert] < end) || slot.Ranges == MaxRanges)
        {
            Poison(ref slot);
            return false;
        }

        for (int i = slot.Ranges; i > insert; i--)
        {
            slot.From[i] = slot.From[i - 1];
            slot.To[i] = slot.To[i - 1];
        }

        slot.From[insert] = offset;
        slot.To[insert] = end;
        slot.Ranges++;
        slot.Received += length;
        slot.Highest = end > slot.Highest ? end : slot.Highest;
        slot.Total = more ? slot.Total : end;
        Buffer.MemoryCopy(data, slot.Buffer + offset, MaxBytes - offset, length);
        if (slot.Total == 0 || slot.Received != slot.Total)
        {
            return false;
        }

        datagram = slot.Buffer;
        total = slot.Total;
        slot.InUse = false;
        return true;
    }

    public void Dispose()
    {
        for (int i = 0; i < Slots; i++)
        {
            if (_slots[i].Buffer != null)
            {
                NativeMemory.Free(_slots[i].Buffer - Headroom);
                _slots[i].Buffer = null;
            }
        }
    }

    private void Poison(ref Slot slot)
    {
        // The rest of its fragments is to be dropped too, so the entry stays until it is old.
        slot.Poisoned = true;
        _counters.Drop(DropReason.BadFragment);
    }

    private ref Slot Claim(in FragmentKey key, long now)
    {
        int pick = 0;
        for (int i = 0; i < Slots; i++)
        {
            ref Slot s = ref _slots[i];
            if (s.InUse && now - s.Started > (s.Key.Source.IsV4 ? 30_000_000 : 60_000_000))
            {
                s.InUse = false;
                _counters.Drop(DropReason.ReassemblyTimeout);
            }

            if (s.InUse && s.Key.Equals(key))
            {
                return ref s;
            }

            ref Slot best = ref _slots[pick];
            if ((!s.InUse && best.InUse) || (s.InUse == best.InUse && s.Started < best.Started))
            {
                pick = i;
            }
        }

        ref Slot slot = ref _slots[pick];
        if (slot.InUse)
        {
            _counters.Drop(DropReason.ReassemblyFull);
        }

        byte* buffer = slot.Buffer != null ? slot.Buffer : (byte*)NativeMemory.Alloc(MaxBytes + 1 + Headroom) + Headroom;
        slot = default;
        slot.Buffer = buffer;
        slot.Key = key;
        slot.Started = now;
        slot.InUse = true;
        return ref slot;
    }

    private struct Slot
    {
        public FragmentKey Key;
        public byte* Buffer;
        public long Started;
        public uint Total, Received, Highest;
        public int Ranges;
        public bool InUse, Poisoned;
        public fixed uint From[MaxRanges];
        public fixed uint To[MaxRanges];
    }
}

/// <summary>Which datagram a fragment belongs to.</summary>
internal struct FragmentKey : IEquatable<FragmentKey>
{
    public Address Source, Destination;
    public uint Id;
    public byte Protocol;

    public readonly bool Equals(FragmentKey other) =>
        Id == other.Id && Protocol == other.Protocol && Source == other.Source && Destination == other.Destination;

    public override readonly bool Equals(object? obj) => obj is FragmentKey key && Equals(key);

    public override readonly int GetHashCode() => (int)Id;
}
