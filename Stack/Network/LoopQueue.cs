using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>Packets from the stack to itself: guests of one NSM that talk to each other. A ring of bytes; what does not fit is lost, as on any link.</summary>
internal sealed unsafe class LoopQueue : IDisposable
{
    private const uint Bytes = 4 << 20;
    private readonly byte* _ring = (byte*)NativeMemory.AlignedAlloc(Bytes, 64);
    private uint _head, _tail;

    /// <summary>Room for one datagram that is to be cut.</summary>
    public byte* FragmentBuffer { get; } = (byte*)NativeMemory.Alloc(1 << 16);

    public bool IsEmpty => _head == _tail;

    /// <summary>Queues an IP packet (the frame without its Ethernet header).</summary>
    public bool Put(in OutFrame frame, uint skip)
    {
        uint length = frame.HeaderLength + frame.PayloadLength - skip;
        uint need = ((uint)sizeof(Item) + length + 63) & ~63u;
        uint at = _tail;
        if (at >= _head)
        {
            if (at + need > Bytes)
            {
                if (need >= _head)
                {
                    return false;
                }

                if (at + sizeof(Item) <= Bytes)
                {
                    ((Item*)(_ring + at))->Length = 0; // The rest of the ring is skipped.
                }

                at = 0;
            }
        }
        else if (at + need >= _head)
        {
            return false;
        }

        Item* item = (Item*)(_ring + at);
        item->Length = length;
        item->GsoSize = frame.GsoSize;
        byte* start = (byte*)(item + 1);
        OutFrame rest = frame;
        rest.Header += skip;
        rest.HeaderLength -= skip;
        NetworkStack.Flatten(rest, start);
        _tail = at + need == Bytes ? 0 : at + need;
        return true;
    }

    /// <summary>Delivers what was there when it began.</summary>
    public void Deliver(NetworkStack stack)
    {
        uint end = _tail;
        while (_head != end)
        {
            Item* item = (Item*)(_ring + _head);
            if (Bytes - _head < sizeof(Item) || item->Length == 0)
            {
                _head = 0;
                continue;
            }

            InFrame info = new() { ChecksumGood = true, GsoSize = item->GsoSize };
            uint next = _head + (((uint)sizeof(Item) + item->Length + 63) & ~63u);
            stack.ReceiveIp((byte*)(item + 1), item->Length, in info, fromSelf: true);
            _head = next == Bytes ? 0 : next;
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_ring);
        NativeMemory.Free(FragmentBuffer);
    }

    private struct Item
    {
        public uint Length, GsoSize;
        private fixed byte _padding[56];
    }
}
