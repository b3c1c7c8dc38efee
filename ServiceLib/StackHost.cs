using System.Threading;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>
/// One stack attached to CoreEngine: tables, and the turn of the loop. One thread owns it all; only <see cref="Stop"/> and <see cref="Post"/> may come from another.
/// The parts: requests in (Requests), events out (Events), chunks and credits (Receive), whose turn it is (Ready), guests coming and going (Control/).
/// </summary>
/// <remarks>
/// An NSM of several threads has one host per thread, each with a share of the queue sets: number q belongs to host q modulo their number. The first hears CoreEngine, and passes
/// on to the others what concerns them (<see cref="Lead"/>).
/// </remarks>
public sealed unsafe partial class StackHost
{
    private const uint Batch = 64;
    private const uint SendsPerTurn = 256;
    private const int EpollEvents = 128;

    /// <summary>The most that one Run may emit, see <see cref="INetworkStack"/>.</summary>
    private const uint RunCompletions = Connection.MaxSends + 2;
    private const uint RunEvents = SocketSlot.RxEntries + 4;

    private const ulong EngineToken = ulong.MaxValue;
    private const ulong ReportToken = ulong.MaxValue - 1;

    /// <summary>The bell of queue set q has this less q.</summary>
    private const ulong BellToken = ulong.MaxValue - 2;
    private const ulong LastBellToken = BellToken - ControlHeader.MaxLoops;

    private readonly INetworkStack _stack;
    private readonly NsmChannel _channel;
    private readonly QueueSet[] _sets;
    private readonly ConnectionTable _connections;
    private readonly HandleTable _handles;
    private MeasuresFile? _measures;
    private readonly uint _shard;
    private readonly uint _shards;
    private readonly Nqe* _batch;
    private readonly Libc.EpollEvent* _ready;
    private Guest?[] _guests = new Guest?[64];
    private Connection* _firstFinished;
    private uint _waiters;
    private readonly ControlHeader* _header;
    private uint _turn;
    private uint _turns;
    private bool _engineSpoke;
    private ReportSocket? _reports;
    private volatile bool _stop;
    private HostExit _exit;

    /// <summary>Starts the stack on an attached channel, as that one of so many that share it.</summary>
    public StackHost(NsmChannel channel, INetworkStack stack, uint shard = 0, uint shards = 1)
    {
        _channel = channel;
        _stack = stack;
        _shard = shard;
        _shards = shards;
        _handles = new HandleTable(shard, shards);
        Reports = new ConnectionReports(this, stack);
        uint sets = channel.Layout.Counts.QueueSets;
        _sets = new QueueSet[sets];
        for (uint q = shard; q < sets; q += shards)
        {
            _sets[q] = new QueueSet(channel.Region, channel.Layout, q, channel.EngineBell(q));
        }

        _connections = new ConnectionTable(sets, stack.StateBytes);
        _batch = (Nqe*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((Batch + 1) * Nqe.Length, 64);
        _ready = (Libc.EpollEvent*)System.Runtime.InteropServices.NativeMemory.Alloc(EpollEvents, (nuint)sizeof(Libc.EpollEvent));
        _measures = stack.HasTcp && shard == 0 ? MeasuresFile.TryMake(channel.RunDirectory, channel.Id, stack.DropReasons, shards) : null;
        CountDrops();
        _header = (ControlHeader*)channel.Region;
        Epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        if (shard == 0)
        {
            Watch(channel.Socket, EngineToken);
        }

        for (uint q = shard; q < sets; q += shards)
        {
            Watch(channel.Bell(q), BellToken - q);
        }

        stack.Start(this);
    }

    /// <summary>The epoll set on which the loop sleeps; a stack adds its fds with data below 2^63.</summary>
    public int Epoll { get; }

    /// <summary>Connections, listeners and unconnected sockets now.</summary>
    public uint ConnectionCount => _connections.Count;

    /// <summary>Most bytes of RX chunk capacity out per connection, while the guest's pool has plenty.</summary>
    public uint ReceiveLimit { get; set; } = 512 << 10;

    /// <summary>The connection of that id, or null.</summary>
    public Connection* Find(uint queueSet, uint id) => _connections.Find(queueSet, id);

    /// <summary>Answers questions about connections on that socket, which stays the caller's.</summary>
    public void Report(ReportSocket socket)
    {
        _reports = socket;
        socket.Watch(Epoll, ReportToken);
    }

    internal ConnectionReports Reports { get; }

    internal uint QueueSets => (uint)_sets.Length;

    internal uint IdsOf(uint queueSet) => _connections.IdsOf(queueSet);

    internal Connection* FindConnection(uint queueSet, uint id) => _connections.Find(queueSet, id);

    internal uint LoopOf(Connection* c) => c->QueueSet % _channel.Layout.Counts.Loops;

    /// <summary>Ends the loop; from any thread.</summary>
    public void Stop()
    {
        _stop = true;
        Wake();
    }

    /// <summary>Makes the loop turn; from any thread.</summary>
    public void Wake()
    {
        ulong one = 1;
        _ = Libc.WriteFast(_channel.Bell(_shard), &one, sizeof(ulong));
    }

    /// <summary>Runs turns until CoreEngine is gone or somebody stops it.</summary>
    public HostExit Run(IdleStrategy idle)
    {
        while (_exit == HostExit.None)
        {
            if (Turn(poll: true) != 0)
            {
                idle.Reset();
                continue;
            }

            switch (idle.Next(System.Diagnostics.Stopwatch.GetTimestamp())) // nanoseconds on Linux
            {
                case IdleAction.Spin:
                    break;
                case IdleAction.Yield:
                    _ = Libc.Yield();
                    break;
                default:
                    Sleep();
                    idle.Beside = Volatile.Read(ref ((ProcessSlot*)(_channel.Region + _channel.Layout.ProcessOf(_shard)))->RungOn) == Libc.CpuPlusOne();
                    idle.Woke(System.Diagnostics.Stopwatch.GetTimestamp());
                    break;
            }
        }

        Drop();
        return _exit;
    }

    /// <summary>
    /// One turn: requests of every queue set, then what is scheduled, then fds. Returns the amount of work done. With
    /// <paramref name="poll"/> false fds are left alone.
    /// </summary>
    public uint Turn(bool poll)
    {
        _turns++;
        uint work = 0;
        _stack.Begin();
        for (uint q = _shard; q < (uint)_sets.Length; q += _shards)
        {
            Volatile.Write(ref _header->Turns[q], _turns);
            work += Drain(q);
        }

        if (_posted)
        {
            RunPosted();
        }

        work += RunScheduled();

        // Looking at the fds costs a system call: with requests at hand every fourth turn is enough, without them every second one. A stack that looks at its links by itself has
        // nothing urgent there.
        _turn++;
        if (poll && (_turn & (_stack.PollsItself ? 15u : work != 0 ? 3u : 1u)) == 0)
        {
            uint events = PollFds(0);
            if (events != 0)
            {
                work += events + RunScheduled();
            }
        }

        uint found = _stack.Poll();
        if (found != 0)
        {
            work += found + RunScheduled();
        }

        if (_firstFinished != null)
        {
            FinishClosed();
        }

        PublishAll();
        if (_stop && _exit == HostExit.None)
        {
            _exit = HostExit.Stopped;
        }

        return work;
    }

    /// <summary>Whether the rings have room for whatever one Run may emit: then Poll may deliver data of that connection, too.</summary>
    public bool HasRoom(Connection* c) => _sets[c->QueueSet].HasRoom(RunCompletions, RunEvents);

    /// <summary>Looks at the fds in this turn in any case.</summary>
    public void PollSoon() => _turn |= 3;

    /// <summary>
    /// Whether a connection's rings have room for all that a Run may emit for it: for a stack whose Run of one connection also emits for another (the room of the one that is run has been
    /// seen to).
    /// </summary>
    public bool HasRoomFor(Connection* c) => _sets[c->QueueSet].HasRoom(RunCompletions, RunEvents);

    /// <summary>There is work that no bell will announce: whoever turns this host by himself comes back soon.</summary>
    public bool NeedsTurn => _readyCount != 0 || _firstFinished != null || _waiters != 0;

    /// <summary>CoreEngine is gone, or broke its rings: nothing more comes of turning this host.</summary>
    public bool IsOver => _exit != HostExit.None;

    /// <summary>Ends a host that somebody turns by himself: every guest's connections end.</summary>
    public void End() => Drop();

    private void PublishAll()
    {
        for (uint q = _shard; q < (uint)_sets.Length; q += _shards)
        {
            _sets[q].Publish();
        }
    }

    private void SetAsleep(uint asleep)
    {
        for (uint q = _shard; q < (uint)_sets.Length; q += _shards)
        {
            Volatile.Write(ref ((ProcessSlot*)(_channel.Region + _channel.Layout.ProcessOf(q)))->Asleep, asleep);
        }
    }

    /// <summary>Sleeps on the fds and the bells, unless there is something to do.</summary>
    private void Sleep()
    {
        SetAsleep(1);

        // Pairs with CoreEngine's fence between publishing and its look at Asleep.
        Interlocked.MemoryBarrier();
        bool requests = _posted;
        for (uint q = _shard; q < (uint)_sets.Length; q += _shards)
        {
            requests |= _sets[q].Job.Refresh() != 0 || _sets[q].Send.Refresh() != 0 || _sets[q].IsBroken;
        }

        // Somebody scheduled or finished while CoreEngine does not drain its rings, or waiting for chunks whose credits may lie unannounced in a ring: look
        // again soon, without burning the core.
        int timeout = requests || _stop ? 0 : (_readyCount != 0 || _firstFinished != null || _waiters != 0) ? 1 : _stack.SleepLimit();
        uint events = timeout == 0 ? 0 : PollFds(timeout);
        SetAsleep(0);
        if (events != 0)
        {
            _ = RunScheduled();
        }
    }

    private uint PollFds(int timeout)
    {
        int count = timeout == 0
            ? Libc.EpollPollFast(Epoll, _ready, EpollEvents, 0)
            : Libc.EpollWait(Epoll, _ready, EpollEvents, timeout);
        for (int i = 0; i < count; i++)
        {
            ulong data = _ready[i].Data;
            switch (data)
            {
                case > LastBellToken and <= BellToken:
                    ulong rung;
                    _ = Libc.ReadFast(_channel.Bell((uint)(BellToken - data)), &rung, sizeof(ulong));
                    break;
                case EngineToken:
                    _engineSpoke = true;
                    break;
                case ReportToken:
                    _reports!.Serve(Epoll, ReportToken, this);
                    break;
                default:
                    _stack.Ready(data, _ready[i].Events);
                    break;
            }
        }

        // Only after the batch: removing a guest frees connections that later events of the batch may name.
        if (_engineSpoke)
        {
            _engineSpoke = false;
            HearEngine();
        }

        return count > 0 ? (uint)count : 0;
    }

    private void Watch(int fd, ulong token)
    {
        Libc.EpollEvent e = new() { Events = Libc.EPOLLIN, Data = token };
        _ = Libc.EpollControl(Epoll, Libc.EPOLL_CTL_ADD, fd, &e);
    }
}

/// <summary>Why the loop ended.</summary>
public enum HostExit
{
    /// <summary>It has not.</summary>
    None,

    /// <summary><see cref="StackHost.Stop"/>.</summary>
    Stopped,

    /// <summary>CoreEngine closed the connection, or its rings are broken.</summary>
    EngineGone,
}
