using System.Collections.Generic;
using System.Text;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>A process of a guest.</summary>
internal sealed class GuestProcess(Engine engine, Guest guest, uint slot, int pid) : Source
{
    public Guest Guest { get; } = guest;

    public uint Slot { get; } = slot;

    public int Pid { get; } = pid;

    /// <summary>It has ended; the loops are tidying up. How many of them still are.</summary>
    public uint LoopsLeft { get; set; }

    public bool Ending { get; set; }

    /// <summary>The program that it has executed since has attached by another slot; this one's is taken back once that one holds what it inherited.</summary>
    public bool Superseded { get; set; }

    /// <summary>The write end of its pipe, which tells of an exec.</summary>
    public PipeEnd? Pipe { get; set; }

    public override void Ready(uint events) => engine.ProcessEnded(this);
}

/// <summary>A guest as the control thread knows it.</summary>
internal sealed unsafe class Guest
{
    private readonly SharedRegion _control;
    private readonly SharedRegion _pool;
    private readonly uint[] _freed = new uint[GuestPort.MaxOwn];
    private uint _frees;

    public Guest(in AttachMessage request, string name, uint loops, bool hugePages, bool sharedMemory, StatsFile stats)
    {
        Id = request.Guest;
        Name = name;
        Own[0] = request.Nsm;
        Flags = request.Flags & ~(1u << 31);
        SharedId = sharedMemory && (Flags & RegionFlags.HostMode) == 0 ? SwitchLoop.SharedNsm : 0;
        Tenant = request.Slot;
        Address4 = request.Address4;
        Address6Low = request.Address6Low;
        Address6High = request.Address6High;
        NetworkNamespace = request.NetworkNamespace;
        Congestion = CongestionIn(request);
        PoolLayout pool = request.Pool.Tx.Total == 0 && request.Pool.Rx.Total == 0 ? PoolLayout.Default : request.Pool;
        HasParts = (Flags & RegionFlags.HostMode) == 0;
        if (HasParts)
        {
            // Several NSMs may receive for it, each in its own part of the chunks. What is not used is no memory.
            pool.Rx.Small = Math.Min(pool.Rx.Small * RegionFlags.RxParts, 1 << 20);
            pool.Rx.Medium = Math.Min(pool.Rx.Medium * RegionFlags.RxParts, 1 << 20);
            pool.Rx.Large = Math.Min(pool.Rx.Large * RegionFlags.RxParts, 1 << 20);
        }

        Pool = request.Limits.PoolBytes == 0 ? pool : PoolSize.Within(pool, request.Limits.PoolBytes);
        Layout = new ControlLayout(ControlLayout.GuestDefault(Pool, loops));

        _pool = SharedRegion.Create($"nk-pool-{name}", Pool.Length, hugePages, map: false);
        WritePoolHeader();
        _control = SharedRegion.Create($"nk-guest-{name}", Layout.Length);
        Header = (ControlHeader*)_control.Start;
        WriteHeader();

        Pipes = (int*)NativeTable.Reserve(ControlLayout.MaxQueueSets * sizeof(int));
        new Span<int>(Pipes, (int)ControlLayout.MaxQueueSets).Fill(-1);
        Bells = new int[loops];
        Ports = new GuestPort[loops];
        for (uint loop = 0; loop < loops; loop++)
        {
            Bells[loop] = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
            Ports[loop] = new GuestPort(Id, loop, _control.Start, Layout, Pool, stats.GuestOf(loop, Id), stats.SharesOf(loop, Id), Pipes, Bells[loop])
            {
                Address = new GuestAddress(request, SharedId != 0, Flags),
                HasParts = HasParts,
            };
        }
    }

    public uint Id { get; }

    public string Name { get; }

    /// <summary>The first of its NSMs, by their parts of its RX half; 0: none.</summary>
    public uint NsmId => Array.Find(Own, id => id != 0);

    /// <summary>Several NSMs may serve it at a time.</summary>
    public bool HasParts { get; }

    /// <summary>Ids of the NSMs that serve it, by their parts of its RX half; 0: free.</summary>
    public uint[] Own { get; } = new uint[GuestPort.MaxOwn];

    /// <summary>That part's NSM has been asked to let go.</summary>
    public bool[] Leaving { get; } = new bool[GuestPort.MaxOwn];

    /// <summary>The control plane's connection that waits for the answer to UseNsm, and the NSM it is about.</summary>
    public (EnginePeer Peer, uint Nsm)? WaitingUse { get; set; }

    /// <summary>The congestion control of its sockets that choose none; empty: its NSMs'.</summary>
    public string Congestion { get; set; }

    /// <summary>The control plane's connection that waits for the answer to SetCongestion: until its NSMs have theirs given.</summary>
    public EnginePeer? WaitingCongestion { get; set; }

    /// <summary>Rules that are being told.</summary>
    public List<RuleMessage> NewRules { get; } = [];

    /// <summary>The shared-memory NSM's id when the guest may use it; else 0.</summary>
    public uint SharedId { get; }

    /// <summary>Its tenant's number.</summary>
    public uint Tenant { get; }

    /// <summary>What it may use.</summary>
    public Allowance Limits { get; } = new();

    public uint Flags { get; }

    public uint Address4 { get; }

    public ulong Address6Low { get; }

    public ulong Address6High { get; }

    public ulong NetworkNamespace { get; }

    public PoolLayout Pool { get; }

    public ControlLayout Layout { get; }

    public ControlHeader* Header { get; private set; }

    public int[] Bells { get; }

    public GuestPort[] Ports { get; }

    public int* Pipes { get; private set; }

    public GuestProcess?[] Processes { get; } = new GuestProcess?[ControlLayout.MaxQueueSets];

    public List<GuestConnection> Connections { get; } = [];

    public Source? Listener { get; set; }

    public string SocketPath { get; set; } = "";

    /// <summary>Not null: detached, and why. Its processes can no longer attach.</summary>
    public string? Detached { get; set; }

    /// <summary>The loops have let go of it, its regions are gone from this process.</summary>
    public bool IsTornDown => Header == null;

    /// <summary>The control plane's connection that waits for the answer to AddGuest.</summary>
    public EnginePeer? Waiting { get; set; }

    public int ControlFd => _control.Fd;

    public int PoolFd => _pool.Fd;

    public bool PoolIsHuge => _pool.IsHuge;

    /// <summary>Sockets whose last holder has said that it left, and that are not known to be exported.</summary>
    public HashSet<uint> LeftUnwatched { get; } = [];

    /// <summary>Sockets that <see cref="ExportWatch"/> watches for it.</summary>
    public int Exports
    {
        get => Ports[0].Exports;
        set
        {
            foreach (GuestPort port in Ports)
            {
                Volatile.Write(ref port.Exports, value);
            }
        }
    }

    public SocketSlot* SocketOf(uint socket) => (SocketSlot*)(_control.Start + Layout.SocketOf(socket));

    public ProcessSlot* SlotOf(uint slot) => (ProcessSlot*)(_control.Start + Layout.ProcessOf(slot));

    /// <summary>The part of an NSM, or -1.</summary>
    public int PartOf(uint nsm) => nsm == 0 ? -1 : Array.IndexOf(Own, nsm);

    public bool Uses(uint nsm) => nsm == SharedId || PartOf(nsm) is >= 0 and var part && !Leaving[part];

    /// <summary>
    /// Takes a free part for an NSM: the one that has been free for longest, because processes may still read what an NSM that is gone has left in its part. Null: none is free.
    /// </summary>
    public int? TryTakePart(uint nsm)
    {
        int? best = null;
        for (int part = 0; part < Own.Length; part++)
        {
            if (Own[part] == 0 && (best is not { } other || _freed[part] < _freed[other]))
            {
                best = part;
            }
        }

        if (best is { } taken)
        {
            Own[taken] = nsm;
            Begin(taken);
        }

        return best;
    }

    public void FreePart(int part)
    {
        Own[part] = 0;
        Leaving[part] = false;
        _freed[part] = ++_frees;
    }

    /// <summary>An NSM is gone: when it is back it gets another part, if one is free, so that what the guest has not read yet is read.</summary>
    public void ChangePart(uint nsm)
    {
        int part = PartOf(nsm);
        if (HasParts && TryTakePart(nsm) is not null)
        {
            FreePart(part);
        }
        else
        {
            Begin(part);
        }
    }

    /// <summary>An NSM is about to write in a part: what lies there for sockets made known before is void.</summary>
    private void Begin(int part)
    {
        uint epoch = Header->NsmEpoch + 1;
        Volatile.Write(ref Header->RxEpochs[part], epoch);
        Volatile.Write(ref Header->NsmEpoch, epoch); // Release: whoever sees it sees the part's.
    }

    /// <summary>The name of a congestion control in a message.</summary>
    public static string CongestionIn(AttachMessage message) => SeqPacket.Get(new ReadOnlySpan<byte>(message.Congestion, AttachMessage.CongestionBytes));

    /// <summary>A message about this guest for an NSM that serves it.</summary>
    public AttachMessage MessageWithCongestion(AttachOp op)
    {
        AttachMessage message = Message(op);
        SeqPacket.Put(new Span<byte>(message.Congestion, AttachMessage.CongestionBytes), Congestion);
        return message;
    }

    /// <summary>A message about this guest.</summary>
    public AttachMessage Message(AttachOp op)
    {
        AttachMessage message = default;
        message.Op = op;
        message.Guest = Id;
        message.Nsm = NsmId;
        message.Slot = Tenant;
        message.Flags = Flags;
        message.Address4 = Address4;
        message.Address6Low = Address6Low;
        message.Address6High = Address6High;
        message.Pool = Pool;
        message.NetworkNamespace = NetworkNamespace;
        SeqPacket.Put(new Span<byte>(message.Name, 40), Name);
        return message;
    }

    /// <summary>Tells the processes that it is over, and gives the memory back. The loops have let go before.</summary>
    public void TearDown()
    {
        if (IsTornDown)
        {
            return;
        }

        Volatile.Write(ref Header->State, RegionState.Detached);
        for (int slot = 0; slot < (int)ControlLayout.MaxQueueSets; slot++)
        {
            if (Pipes[slot] >= 0)
            {
                _ = Libc.Close(Pipes[slot]);
            }
        }

        foreach (GuestPort port in Ports)
        {
            port.Dispose();
        }

        foreach (int bell in Bells)
        {
            _ = Libc.Close(bell);
        }

        NativeTable.Release(Pipes, ControlLayout.MaxQueueSets * sizeof(int));
        Pipes = null;
        Header = null;
        _control.Dispose();
        _pool.Dispose();
    }

    private void WriteHeader()
    {
        ControlHeader* header = Header;
        header->Magic = ControlHeader.GuestMagic;
        header->LayoutVersion = ControlHeader.Version;
        header->HeaderLength = ControlHeader.Length;
        header->TotalLength = Layout.Length;
        header->Id = Id;
        header->Counts = Layout.Counts;
        header->OwnerPid = (uint)Environment.ProcessId;
        header->Flags = Flags;
        header->Address4 = Address4;
        header->Address6Low = Address6Low;
        header->Address6High = Address6High;
        header->Pool = Pool;
        header->Heartbeat = Libc.Now;
        SeqPacket.Put(new Span<byte>(header->Name, 40), Name);
        for (uint loop = 0; loop < Layout.Counts.Loops; loop++)
        {
            ((LoopBell*)((byte*)header + ControlLayout.LoopBellOf(loop)))->Asleep = 1;
        }

        Volatile.Write(ref header->State, RegionState.Running);
    }

    // Only the header page is ever mapped here: payload is no business of CoreEngine's.
    private void WritePoolHeader()
    {
        nuint bytes = _pool.IsHuge ? (nuint)PoolLayout.Alignment : 4096;
        nint address = Libc.Map(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _pool.Fd, 0);
        if (address == -1)
        {
            return;
        }

        byte* page = (byte*)address;
        *(ulong*)page = PoolLayout.Magic;
        *(uint*)(page + 8) = ControlHeader.Version;
        *(uint*)(page + 12) = PoolLayout.Alignment;
        *(ulong*)(page + 16) = Pool.Length;
        *(PoolLayout*)(page + 24) = Pool;
        _ = Libc.Unmap(address, bytes);
    }

    /// <summary>Whether a name can be a file's and is one to type.</summary>
    public static bool IsName(string name)
    {
        if (name.Length is 0 or > 39 || name[0] == '.')
        {
            return false;
        }

        foreach (char c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.'))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether a pool of that shape can be made.</summary>
    public static bool IsPool(in PoolLayout pool)
    {
        const uint Most = 1 << 20;
        return pool.Tx.Small <= Most && pool.Tx.Medium <= Most && pool.Tx.Large <= Most && pool.Tx.Total <= Most - 16
            && pool.Rx.Small <= Most && pool.Rx.Medium <= Most && pool.Rx.Large <= Most && pool.Rx.Total <= Most
            && pool.Length <= 16ul << 30
            && ((pool.Tx.Total == 0) == (pool.Rx.Total == 0));
    }
}
