using System.Runtime.CompilerServices;

namespace NetKernel.Stack;

/// <summary>
/// Station addresses of neighbours (ARP and neighbour discovery alike, in the spirit of RFC 4861, 7.3): 4-way sets, so that no flood of addresses grows it. A few frames
/// wait for an answer with each entry.
/// </summary>
internal sealed unsafe class NeighbourTable : IDisposable
{
    private const int Sets = 512, Ways = 4, MaxWaiting = 3, MaxTries = 3;
    private const long ProbeInterval = 1_000_000, ReachableTime = 30_000_000;
    private const int FrameBytes = 2048;

    private readonly Entry[] _entries = new Entry[Sets * Ways];
    private readonly Slab _frames = new(FrameBytes, limit: 512);
    private readonly NetworkStack _stack;
    private readonly RandomSource _random;
    private int _probing;

    public NeighbourTable(NetworkStack stack, RandomSource random)
    {
        _stack = stack;
        _random = random;
    }

    private enum State : byte
    {
        Free,
        Incomplete,
        Reachable,

        /// <summary>In use, and asked again whether it is still there.</summary>
        Probing,
    }

    /// <summary>The station; false: not known yet, and asked for.</summary>
    public bool TryFind(in Address address, in Address local, out ulong mac)
    {
        ref Entry e = ref Find(address);
        if (Unsafe.IsNullRef(ref e) || e.State == State.Incomplete)
        {
            mac = 0;
            return false;
        }

        mac = e.Mac;
        if (e.State == State.Reachable && _stack.Now - e.Updated > ReachableTime)
        {
            Probe(ref e, State.Probing, local);
        }

        return true;
    }

    /// <summary>Lets a frame wait for the answer. What does not fit is dropped.</summary>
    public void Wait(in Address address, in Address local, in OutFrame frame)
    {
        ref Entry e = ref Find(address);
        if (Unsafe.IsNullRef(ref e))
        {
            e = ref Claim(address);
            Probe(ref e, State.Incomplete, local);
        }

        uint length = frame.HeaderLength + frame.PayloadLength;
        Waiting* w = e.WaitingCount >= MaxWaiting || length + sizeof(Waiting) > FrameBytes ? null : (Waiting*)_frames.Take();
        if (w == null)
        {
            _stack.Counters.Drop(DropReason.NoRoute);
            return;
        }

        w->Next = null;
        w->Length = length;
        w->ChecksumStart = frame.ChecksumStart;
        w->ChecksumOffset = frame.ChecksumOffset;
        w->IsV6 = frame.IsV6;
        NetworkStack.Flatten(frame, (byte*)(w + 1));
        Waiting** at = &((EntryLinks*)Unsafe.AsPointer(ref e.Links))->First;
        while (*at != null)
        {
            at = &(*at)->Next;
        }

        *at = w;
        e.WaitingCount++;
    }

    /// <summary>A neighbour said where it is. Unasked news changes only entries that exist (RFC 826; RFC 4861, 7.2.5).</summary>
    public void Learn(in Address address, ulong mac, bool create)
    {
        ref Entry e = ref Find(address);
        if (Unsafe.IsNullRef(ref e))
        {
            if (!create)
            {
                return;
            }

            e = ref Claim(address);
        }

        if (e.State is State.Incomplete or State.Probing)
        {
            _probing--;
        }

        e.State = State.Reachable;
        e.Mac = mac;
        e.Updated = _stack.Now;
        e.Tries = 0;
        Waiting* w = e.Links.First;
        e.Links.First = null;
        e.WaitingCount = 0;
        while (w != null)
        {
            Waiting* next = w->Next;
            byte* start = (byte*)(w + 1);
            OutFrame frame = default;
            frame.Header = start;
            frame.HeaderLength = w->Length;
            frame.ChecksumStart = w->ChecksumStart;
            frame.ChecksumOffset = w->ChecksumOffset;
            frame.IsV6 = w->IsV6;
            NetworkStack.PutMac(start, mac);
            _stack.Emit(frame);
            _frames.Give(w);
            w = next;
        }
    }

    /// <summary>Called about once a second: asks again, and gives up.</summary>
    public void Tick()
    {
        if (_probing == 0)
        {
            return;
        }

        for (int i = 0; i < _entries.Length; i++)
        {
            ref Entry e = ref _entries[i];
            if (e.State is not (State.Incomplete or State.Probing) || _stack.Now - e.Updated < ProbeInterval)
            {
                continue;
            }

            if (e.Tries >= MaxTries)
            {
                Release(ref e, unreachable: true);
                continue;
            }

            e.Tries++;
            e.Updated = _stack.Now;
            _stack.Solicit(e.Address, e.Local, e.State == State.Probing ? e.Mac : 0);
        }
    }

    /// <summary>Whether <see cref="Tick"/> has anything to do.</summary>
    public bool IsProbing => _probing != 0;

    public void Dispose() => _frames.Dispose();

    private ref Entry Find(in Address address)
    {
        uint set = _random.TableHash(address, default, 0, 1) % Sets * Ways;
        for (uint i = set; i < set + Ways; i++)
        {
            if (_entries[i].State != State.Free && _entries[i].Address == address)
            {
                return ref _entries[i];
            }
        }

        return ref Unsafe.NullRef<Entry>();
    }

    private ref Entry Claim(in Address address)
    {
        uint set = _random.TableHash(address, default, 0, 1) % Sets * Ways;
        uint oldest = set;
        for (uint i = set; i < set + Ways; i++)
        {
            if (_entries[i].State == State.Free)
            {
                oldest = i;
                break;
            }

            if (_entries[i].Updated < _entries[oldest].Updated)
            {
                oldest = i;
            }
        }

        ref Entry e = ref _entries[oldest];
        Release(ref e, unreachable: false);
        e.Address = address;
        e.State = State.Reachable;
        e.Tries = 0;
        return ref e;
    }

    private void Probe(ref Entry e, State state, in Address local)
    {
        e.State = state;
        e.Local = local;
        e.Updated = _stack.Now;
        e.Tries = 1;
        _probing++;
        _stack.WakeNeighbours();
        _stack.Solicit(e.Address, local, state == State.Probing ? e.Mac : 0);
    }

    private void Release(ref Entry e, bool unreachable)
    {
        if (e.State is State.Incomplete or State.Probing)
        {
            _probing--;
        }

        Waiting* w = e.Links.First;
        e = default;
        while (w != null)
        {
            Waiting* next = w->Next;
            if (unreachable)
            {
                _stack.Undelivered((byte*)(w + 1), w->Length);
            }

            _frames.Give(w);
            w = next;
        }
    }

    private struct Waiting
    {
        public Waiting* Next;
        public uint Length, ChecksumStart, ChecksumOffset;
        public bool IsV6;
    }

    private struct EntryLinks
    {
        public Waiting* First;
    }

    private struct Entry
    {
        public Address Address, Local;
        public ulong Mac;
        public long Updated;
        public EntryLinks Links;
        public byte WaitingCount, Tries;
        public State State;
    }
}
