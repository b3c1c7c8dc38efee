using System.Runtime.InteropServices;
using System.Threading;

namespace NetKernel.Nsm.Mtcp;

/// <summary>struct xdp_desc: a frame in the UMEM.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XdpDescriptor
{
    /// <summary>Where it begins, from the start of the UMEM.</summary>
    public ulong Address;

    /// <summary>Its bytes.</summary>
    public uint Length;

    public uint Options;
}

/// <summary>
/// A ring of an AF_XDP socket that we write and the kernel reads (fill: addresses, TX: descriptors). Indexes run through 32 bits and are masked at the entry (Linux,
/// Documentation/networking/af_xdp.rst; net/xdp/xsk_queue.h has the order of memory accesses).
/// </summary>
internal unsafe struct XdpProducer(uint* producer, uint* consumer, uint* flags, void* entries, uint size)
{
    private const uint NeedWakeup = 1;
    private readonly uint* _producer = producer, _consumer = consumer, _flags = flags;
    private readonly void* _entries = entries;
    private readonly uint _size = size;
    private uint _next = Volatile.Read(ref *producer);

    /// <summary>Entries that can be put; 0 too when the kernel's index cannot be.</summary>
    public readonly uint Free
    {
        get
        {
            uint used = _next - Volatile.Read(ref *_consumer); // pairs with the kernel's release in __xskq_cons_release
            return used <= _size ? _size - used : 0;
        }
    }

    /// <summary>The kernel has read all that was published.</summary>
    public readonly bool IsEmpty => Volatile.Read(ref *_consumer) == Volatile.Read(ref *_producer);

    /// <summary>The kernel's index.</summary>
    public readonly uint Read => Volatile.Read(ref *_consumer);

    /// <summary>The kernel reads what was published only when it is called.</summary>
    public readonly bool NeedsCall => (Volatile.Read(ref *_flags) & NeedWakeup) != 0;

    /// <summary>Puts an address; there must be room. The kernel does not see it before <see cref="Publish"/>.</summary>
    public void Put(ulong address) => ((ulong*)_entries)[_next++ & (_size - 1)] = address;

    /// <summary>Puts a descriptor; the same.</summary>
    public void Put(ulong address, uint length) => ((XdpDescriptor*)_entries)[_next++ & (_size - 1)] = new XdpDescriptor { Address = address, Length = length };

    /// <summary>Shows the kernel what was put.</summary>
    public readonly void Publish() => Volatile.Write(ref *_producer, _next); // pairs with the kernel's acquire in __xskq_cons_get_entries
}

/// <summary>A ring that the kernel writes and we read (RX: descriptors, completion: addresses).</summary>
internal unsafe struct XdpConsumer(uint* producer, uint* consumer, void* entries, uint size)
{
    private readonly uint* _producer = producer, _consumer = consumer;
    private readonly void* _entries = entries;
    private readonly uint _size = size;
    private uint _next = Volatile.Read(ref *consumer);

    /// <summary>Entries that can be taken; 0 too when the kernel's index cannot be.</summary>
    public readonly uint Available
    {
        get
        {
            uint there = Volatile.Read(ref *_producer) - _next; // pairs with the kernel's release in __xskq_prod_submit
            return there <= _size ? there : 0;
        }
    }

    /// <summary>Takes an address; there must be one.</summary>
    public ulong TakeAddress() => ((ulong*)_entries)[_next++ & (_size - 1)];

    /// <summary>Takes a descriptor; the same.</summary>
    public XdpDescriptor Take() => ((XdpDescriptor*)_entries)[_next++ & (_size - 1)];

    /// <summary>Gives the kernel the places of what was taken.</summary>
    public readonly void Release() => Volatile.Write(ref *_consumer, _next); // pairs with the kernel's acquire in __xskq_prod_is_full
}
