namespace NetKernel.CoreEngine;

/// <summary>
/// The connections of one switching loop, by connection id: a private array beside the public rows, and the free ids.
/// </summary>
internal sealed unsafe class ConnectionTable : IDisposable
{
    /// <summary>Connections per loop.</summary>
    public const uint Capacity = 65536;

    // An id rests until this many others have been freed after it, so that a late NQE of an NSM about its old life meets nobody.
    private const uint Quarantine = 1024;

    private readonly uint* _free;
    private uint _freeHead;
    private uint _freeTail;
    private uint _high;

    public ConnectionTable(ConnectionRow* rows)
    {
        Rows = rows;
        Items = (Connection*)NativeTable.Reserve(Capacity * (ulong)sizeof(Connection));
        Memories = (SocketMemory*)NativeTable.Reserve(Capacity * (ulong)sizeof(SocketMemory));
        _free = (uint*)NativeTable.Reserve(Capacity * sizeof(uint));
    }

    /// <summary>The private halves.</summary>
    public Connection* Items { get; }

    /// <summary>The public halves.</summary>
    public ConnectionRow* Rows { get; }

    /// <summary>What is remembered of sockets.</summary>
    public SocketMemory* Memories { get; }

    /// <summary>One more than the highest id ever given.</summary>
    public uint High => _high;

    /// <summary>Takes an id; false when all are in use.</summary>
    public bool TryTake(out uint id)
    {
        uint resting = _freeTail - _freeHead;
        if (resting > Quarantine || (_high == Capacity && resting != 0))
        {
            id = _free[_freeHead++ % Capacity];
            return true;
        }

        id = _high;
        if (_high == Capacity)
        {
            return false;
        }

        _high++;
        return true;
    }

    /// <summary>Gives an id back and clears both halves of its row.</summary>
    public void Free(uint id)
    {
        Items[id] = default;
        ConnectionRow* row = Rows + id;
        row->State = ConnectionState.Free;
        *row = default;
        _free[_freeTail++ % Capacity] = id;
    }

    public void Dispose()
    {
        NativeTable.Release(Items, Capacity * (ulong)sizeof(Connection));
        NativeTable.Release(Memories, Capacity * (ulong)sizeof(SocketMemory));
        NativeTable.Release(_free, Capacity * sizeof(uint));
    }
}
