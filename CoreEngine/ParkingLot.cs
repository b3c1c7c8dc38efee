using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine;

/// <summary>
/// Where NQEs for a guest wait that does not drain its rings: a bounded pool of nodes per guest and loop, whose memory exists only
/// once it is used.
/// </summary>
/// <remarks>
/// Notices, that a socket has lost its NSM or has a new one, are merged: of each socket the last of both waits, whatever number of NSMs comes and goes while the guest does not look.
/// </remarks>
internal sealed unsafe class ParkingLot(uint sockets) : IDisposable
{
    /// <summary>
    /// Nodes. More than a guest that keeps to the rules can ever have waiting: a Data per RX chunk of each NSM that may serve it, a SendDone per TX chunk, two notices per socket, and a
    /// completion for each.
    /// </summary>
    public const uint Capacity = 131072;

    private struct Node
    {
        public Nqe Element;
        public uint Next;
        public uint Before;
    }

    private readonly Node* _nodes = (Node*)NativeTable.Reserve(Capacity * (ulong)sizeof(Node));
    private readonly uint* _notices = (uint*)NativeTable.Reserve(2ul * sockets * sizeof(uint)); // by socket and kind: its node, plus 1
    private readonly ulong _noticesBytes = 2ul * sockets * sizeof(uint);
    private uint _touched;
    private uint _free;

    /// <summary>NQEs parked now.</summary>
    public uint Count { get; private set; }

    /// <summary>Whether an event is one of which a socket has only the last waiting.</summary>
    public static bool IsNotice(Nqe* element) => element->Op is Op.Reset or Op.Renewed;

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

        _nodes[node - 1] = new Node { Element = *element, Before = list.Tail };
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

    /// <summary>
    /// Appends a notice, in place of those that it makes void: a loss of every one before it, a renewal of the one before. It has the last place, for what came before it is to be taken for what
    /// it was.
    /// </summary>
    public bool TryParkNotice(ref ParkedList list, Nqe* element)
    {
        if (element->Op == Op.Reset)
        {
            Withdraw(ref list, element, Op.Reset);
        }

        Withdraw(ref list, element, Op.Renewed);
        if (!TryPark(ref list, element))
        {
            return false;
        }

        Notice(element->Socket, element->Op) = list.Tail;
        return true;
    }

    /// <summary>The first NQE of a list that is not empty.</summary>
    public Nqe* First(in ParkedList list) => &_nodes[list.Head - 1].Element;

    /// <summary>Takes the first NQE of a list that is not empty away.</summary>
    public void RemoveFirst(ref ParkedList list) => Remove(ref list, list.Head);

    /// <summary>The node behind one, 0 behind the last; of 0 the first.</summary>
    public uint After(in ParkedList list, uint node) => node == 0 ? list.Head : _nodes[node - 1].Next;

    /// <summary>What a node holds.</summary>
    public Nqe* At(uint node) => &_nodes[node - 1].Element;

    /// <summary>Takes a node of a list away.</summary>
    public void Remove(ref ParkedList list, uint node)
    {
        Node* gone = _nodes + (node - 1);
        if (IsNotice(&gone->Element) && Notice(gone->Element.Socket, gone->Element.Op) == node)
        {
            Notice(gone->Element.Socket, gone->Element.Op) = 0;
        }

        if (gone->Before == 0)
        {
            list.Head = gone->Next;
        }
        else
        {
            _nodes[gone->Before - 1].Next = gone->Next;
        }

        if (gone->Next == 0)
        {
            list.Tail = gone->Before;
        }
        else
        {
            _nodes[gone->Next - 1].Before = gone->Before;
        }

        list.Count--;
        Count--;
        gone->Next = _free;
        _free = node;
    }

    public void Dispose()
    {
        NativeTable.Release(_nodes, Capacity * (ulong)sizeof(Node));
        NativeTable.Release(_notices, _noticesBytes);
    }

    private ref uint Notice(uint socket, Op op) => ref _notices[(2 * socket) + (op == Op.Reset ? 0u : 1u)];

    /// <summary>Takes a notice of a socket away, if it waits in that list: a socket may have come from another queue set, where it keeps its place.</summary>
    private void Withdraw(ref ParkedList list, Nqe* next, Op op)
    {
        uint node = Notice(next->Socket, op);
        if (node != 0 && _nodes[node - 1].Element.QueueSet == next->QueueSet)
        {
            Remove(ref list, node);
        }
    }
}
