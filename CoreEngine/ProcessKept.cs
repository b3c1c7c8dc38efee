namespace NetKernel.CoreEngine;

/// <summary>The sockets that a process keeps over an exec: a bit each. Made by the control thread, then only read.</summary>
internal sealed class ProcessKept(uint sockets)
{
    private readonly ulong[] _bits = new ulong[(sockets + 63) / 64];

    /// <summary>How many.</summary>
    public uint Count { get; private set; }

    public bool Has(uint socket) => (_bits[socket >> 6] & (1ul << (int)(socket & 63))) != 0;

    public void Add(uint socket)
    {
        _bits[socket >> 6] |= 1ul << (int)(socket & 63);
        Count++;
    }
}
