using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// Connections by queue set and id. The pointers lie in reserved address space that costs memory only where it is used; the connections come from
/// slabs that are reused last-in first-out and never given back.
/// </summary>
public sealed unsafe class ConnectionTable
{
    /// <summary>Ids at or above this are refused.</summary>
    public const uint MaxIds = 1 << 20;

    private const uint SlabCount = 64;
    private readonly Connection** _byId;
    private readonly uint[] _ids;
    private readonly uint _queueSets;
    private readonly nuint _bytes;
    private Connection* _free;

    /// <summary>A table for that many queue sets; <paramref name="stateBytes"/> of the stack's follow each connection.</summary>
    public ConnectionTable(uint queueSets, int stateBytes)
    {
        _queueSets = queueSets;
        _ids = new uint[queueSets];
        _bytes = ((nuint)sizeof(Connection) + (nuint)stateBytes + 127) & ~(nuint)127;
        nint space = Libc.Map(0, (nuint)queueSets * MaxIds * (nuint)sizeof(Connection*), Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (space == -1)
        {
            throw new OutOfMemoryException("no address space for the connection table");
        }

        _byId = (Connection**)space;
    }

    /// <summary>Connections now.</summary>
    public uint Count { get; private set; }

    /// <summary>All ids of a queue set that were ever in use are below this.</summary>
    public uint IdsOf(uint queueSet) => _ids[queueSet];

    /// <summary>The connection, or null.</summary>
    public Connection* Find(uint queueSet, uint id) => id < MaxIds ? _byId[((nuint)queueSet * MaxIds) + id] : null;

    /// <summary>A zeroed connection under an id that is free; null when the id is impossible or memory is short.</summary>
    public Connection* Add(uint queueSet, uint id, uint guest)
    {
        if (id >= MaxIds || queueSet >= _queueSets || (_free == null && !Grow()))
        {
            return null;
        }

        Connection* c = _free;
        _free = c->ReadyNext;
        NativeMemory.Clear(c, _bytes);
        c->Id = id;
        c->QueueSet = queueSet;
        c->GuestId = guest;
        c->RxFirst = RxPool.None;
        c->FirstHandle = HandleTable.None;
        c->State = c + 1;
        _byId[((nuint)queueSet * MaxIds) + id] = c;
        _ids[queueSet] = id < _ids[queueSet] ? _ids[queueSet] : id + 1;
        Count++;
        return c;
    }

    /// <summary>Frees a connection and its id.</summary>
    public void Remove(Connection* c)
    {
        _byId[((nuint)c->QueueSet * MaxIds) + c->Id] = null;
        c->ReadyNext = _free;
        _free = c;
        Count--;
    }

    private bool Grow()
    {
        byte* slab = (byte*)NativeMemory.AlignedAlloc(_bytes * SlabCount, 128);
        if (slab == null)
        {
            return false;
        }

        for (uint i = SlabCount; i-- > 0;)
        {
            Connection* c = (Connection*)(slab + (_bytes * i));
            c->ReadyNext = _free;
            _free = c;
        }

        return true;
    }
}
