namespace NetKernel.CoreEngine;

/// <summary>
/// Where NQEs for a guest wait that does not drain its rings: a bounded pool of nodes per guest and loop, whose memory exists only
/// once it is used.
/// </summary>
internal sealed unsafe class ParkingLot : IDisposable
{
    /// <summary>
    /// Nodes. More than a guest that keeps to the rules can ever have waiting: a Data per RX chunk, a SendDone per TX chunk, and some
    /// completions and events per socket.
    /// </summary>
    public const uint Capacity = 65536;

    private struct Node
    {
        public Nqe Element;
        public uint Next;
    }

    private readonly Node* _nodes = (Node*)NativeTable.Reserve(Capacity * (ulong)sizeof(Node));
    private uint _touched;
    private uint _free;

    /// <summary>NQEs parked now.</summary>
    public uint Count { get; private set; }

    /// <summary>Appends; false when the lot is full.</summary>
    public bool TryPark(ref ParkedList list, Nqe* element)
    {
        uint node = _free;
        if (node != 0)
        {
            _free = _nodes[node - 1].Next;
        }
        else if (_touched < Capacity)
        {
            node = ++_touched;
        }
        else
        {
            return false;
        }

        _nodes[node - 1].Element = *element;
        _nodes[node - 1].Next = 0;
        if (list.Tail == 0)
        {
            list.Head = node;
        }
        else
        {
            _nodes[list.Tail - 1].Next = node;
        }

        list.Tail = node;
        list.Count++;
        Count++;
        return true;
    }

    /// <summary>The first NQE of a list that is not empty.</summary>
    public Nqe* First(in ParkedList list) => &_nodes[list.Head - 1].Element;

    /// <summary>Takes the first NQE of a list that is not empty away.</summary>
    public void RemoveFirst(ref ParkedList list)
    {
        uint node = list.Head;
        list.Head = _nodes[node - 1].Next;
        if (list.Head == 0)
        {
            list.Tail = 0;
        }

        list.Count--;
        Count--;
        _nodes[node - 1].Next = _free;
        _free = node;
    }

    public void Dispose() => NativeTable.Release(_nodes, Capacity * (ulong)sizeof(Node));
}
