using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>An AF_XDP socket with its UMEM and four rings, bound to a queue of an interface in copy mode (linux/if_xdp.h).</summary>
internal sealed unsafe class XdpSocket : IDisposable
{
    /// <summary>Places of each ring, and chunks of each direction. The kernel's veth holds 256 frames, and a backlog 1,000: this is more.</summary>
    public const uint Entries = 2048;

    private const int AF_XDP = 44, SOL_XDP = 283;
    private const int XDP_MMAP_OFFSETS = 1, XDP_RX_RING = 2, XDP_TX_RING = 3, XDP_UMEM_REG = 4, XDP_UMEM_FILL_RING = 5, XDP_UMEM_COMPLETION_RING = 6, XDP_MAX_TX_SKB_BUDGET = 9;
    private const long RxPage = 0, TxPage = 0x80000000, FillPage = 0x100000000, CompletionPage = 0x180000000;
    private const ushort XDP_COPY = 2, XDP_USE_NEED_WAKEUP = 8;
    private const ulong Patience = 2_000_000_000; // ns
    private const int AddressBytes = 8, MAP_POPULATE = 0x8000;

    private readonly (nint At, nuint Bytes)[] _maps = new (nint, nuint)[4];
    private readonly string _interface;

    private XdpSocket(string name, int fd)
    {
        _interface = name;
        Fd = fd;
    }

    /// <summary>The socket; the device closes it.</summary>
    public int Fd { get; }

    public XdpProducer Fill { get; private set; }

    public XdpProducer Send { get; private set; }

    public XdpConsumer Received { get; private set; }

    public XdpConsumer Sent { get; private set; }

    /// <summary>Opens a queue; the chunks for what arrives are the kernel's then.</summary>
    /// <exception cref="DeviceException">The kernel cannot do it, or privileges are missing.</exception>
    public static XdpSocket Open(string name, int index, uint queue, XdpChunks chunks)
    {
        const int EAFNOSUPPORT = 97;
        int fd = Sys.Socket(AF_XDP, Sys.SOCK_RAW | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw new DeviceException(Sys.Errno == EAFNOSUPPORT ? "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS)" : $"AF_XDP: {Libc.Describe(Sys.Errno)}");
        }

        XdpSocket socket = new(name, fd);
        try
        {
            socket.MakeRings(chunks);
            socket.Bind(index, queue);
            return socket;
        }
        catch
        {
            socket.Dispose();
            _ = Libc.Close(fd);
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((nint at, nuint bytes) in _maps)
        {
            if (bytes != 0)
            {
                _ = Libc.Unmap(at, bytes);
            }
        }
    }

    private void MakeRings(XdpChunks chunks)
    {
        // struct xdp_umem_reg: address, bytes, chunk size, headroom, flags, size of metadata.
        ulong* memory = stackalloc ulong[4];
        memory[0] = (ulong)chunks.Start;
        memory[1] = chunks.Bytes;
        memory[2] = chunks.ChunkBytes;
        memory[3] = 0;
        Set(XDP_UMEM_REG, memory, 4 * sizeof(ulong), "XDP_UMEM_REG");
        foreach (int ring in (ReadOnlySpan<int>)[XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING])
        {
            uint entries = Entries;
            Set(ring, &entries, sizeof(uint), "the rings");
        }

        uint budget = Entries; // of a sendto; Linux before 6.17 knows 32 only
        _ = Sys.SetSockOpt(Fd, SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &budget, sizeof(uint));

        // struct xdp_mmap_offsets: for RX, TX, fill and completion where producer, consumer, entries and flags lie.
        ulong* offsets = stackalloc ulong[16];
        uint length = 16 * sizeof(ulong);
        if (Sys.GetSockOpt(Fd, SOL_XDP, XDP_MMAP_OFFSETS, offsets, &length) != 0 || length != 16 * sizeof(ulong))
        {
            throw Failure("XDP_MMAP_OFFSETS");
        }

        byte* rx = MapRing(0, RxPage, offsets, sizeof(XdpDescriptor));
        byte* tx = MapRing(1, TxPage, offsets + 4, sizeof(XdpDescriptor));
        byte* fill = MapRing(2, FillPage, offsets + 8, AddressBytes);
        byte* completion = MapRing(3, CompletionPage, offsets + 12, AddressBytes);
        Received = new XdpConsumer((uint*)(rx + offsets[0]), (uint*)(rx + offsets[1]), rx + offsets[2], Entries);
        Send = new XdpProducer((uint*)(tx + offsets[4]), (uint*)(tx + offsets[5]), (uint*)(tx + offsets[7]), tx + offsets[6], Entries);
        Sent = new XdpConsumer((uint*)(completion + offsets[12]), (uint*)(completion + offsets[13]), completion + offsets[14], Entries);
        XdpProducer free = new((uint*)(fill + offsets[8]), (uint*)(fill + offsets[9]), (uint*)(fill + offsets[11]), fill + offsets[10], Entries);
        for (ulong i = 0; i < chunks.Count; i++)
        {
            free.Put(i * chunks.ChunkBytes);
        }

        free.Publish();
        Fill = free;
    }

    private void Bind(int index, uint queue)
    {
        // struct sockaddr_xdp: family, flags, interface, queue, another socket's fd.
        uint* address = stackalloc uint[4];
        address[0] = AF_XDP | ((uint)(XDP_COPY | XDP_USE_NEED_WAKEUP) << 16);
        address[1] = (uint)index;
        address[2] = queue;
        address[3] = 0;

        // The kernel lets go of the queue of a socket some time after its process has ended (xp_put_pool), and tells nobody when.
        ulong end = Libc.Now + Patience;
        while (Sys.Bind(Fd, address, 4 * sizeof(uint)) != 0)
        {
            if (Sys.Errno != Libc.EBUSY || Libc.Now > end)
            {
                throw Failure($"queue {queue}");
            }

            _ = Libc.Yield();
        }
    }

    private byte* MapRing(int which, long page, ulong* offsets, int entryBytes)
    {
        nuint bytes = (nuint)(offsets[2] + (Entries * (ulong)entryBytes));
        nint at = Libc.Map(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED | MAP_POPULATE, Fd, page);
        if (at == -1)
        {
            throw new DeviceException($"interface {_interface}, AF_XDP: a ring cannot be mapped: {Libc.Describe(Libc.Errno)}");
        }

        _maps[which] = (at, bytes);
        return (byte*)at;
    }

    private void Set(int name, void* value, uint length, string what)
    {
        if (Sys.SetSockOpt(Fd, SOL_XDP, name, value, length) != 0)
        {
            throw Failure(what);
        }
    }

    private DeviceException Failure(string what) => new($"interface {_interface}, AF_XDP, {what}: {Libc.Describe(Sys.Errno)}");
}
