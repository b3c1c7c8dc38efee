using System.Collections.Generic;
using System.Text;
using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>A guest as the control thread knows it.</summary>
internal sealed unsafe partial class Guest
{
    private readonly SharedRegion _control;
    private readonly SharedRegion _pool;

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
