using System.Runtime.InteropServices;

namespace NetKernel.Stack;

/// <summary>
/// One TCP/IP stack on one link. It does no I/O, and has no clock and no random source of its own: the caller hands it frames
/// (<see cref="Receive"/>), tells the time (<see cref="Advance"/>), gives a seed and a link to send on. One thread calls it; nothing is locked, and nothing is allocated
/// after the tables have grown.
/// </summary>
/// <remarks>
/// A turn of the caller: Advance with the time, Receive for each frame of a batch, then <see cref="Flush"/>, which sends the acknowledgements
/// and data that the batch made due, once per connection. The parts: input and output of IP (this folder), <see cref="Tcp"/>, <see cref="Udp"/>.
/// </remarks>
public sealed unsafe partial class NetworkStack : ITimerSink, IDisposable
{
    private const long NeighbourTick = 1_000_000;
    private const int ScratchBytes = 2048;

    /// <summary>Room in front of a transport header: Ethernet with a tag, and IPv6.</summary>
    internal const int Headroom = 64;

    private readonly ILink _link;
    private readonly AddressTable _addresses;
    private readonly NeighbourTable _neighbours;
    private readonly Reassembler _reassembler;
    private readonly PathMtuCache _paths;
    private readonly LoopQueue _loop = new();
    private readonly byte* _scratch;
    private readonly Timer* _neighbourTimer;

    /// <summary>
    /// A stack on a link, at that time (microseconds of a monotonic clock). Shards get random sources of one seed: what one of them has given a peer (cookies, timestamps) is good at all.
    /// </summary>
    public NetworkStack(StackOptions options, ILink link, RandomSource random, long now, Shard? shard = null)
    {
        Options = options;
        Shard = shard;
        _link = link;
        _tci = options.Tci;
        Random = random;
        Now = now;
        _addresses = new AddressTable(random);
        _neighbours = new NeighbourTable(this, random);
        _reassembler = new Reassembler(Counters);
        _paths = new PathMtuCache(random);
        _scratch = (byte*)NativeMemory.AllocZeroed(ScratchBytes);
        _neighbourTimer = (Timer*)NativeMemory.AllocZeroed((nuint)sizeof(Timer));
        Wheel = new TimerWheel(this, now);
        _announcer = new AddressAnnouncer(this);
        Tcp = new TcpLayer(this);
        Udp = new UdpLayer(this, random);
    }

    /// <summary>What it was made with.</summary>
    public StackOptions Options { get; }

    /// <summary>Counters of everything that is not an event of a socket.</summary>
    public StackCounters Counters { get; } = new();

    /// <summary>Routes; on-link prefixes too.</summary>
    public RouteTable Routes { get; } = new();

    /// <summary>Connections and listeners.</summary>
    public TcpLayer Tcp { get; }

    /// <summary>Datagram sockets.</summary>
    public UdpLayer Udp { get; }

    /// <summary>The time of the current turn, microseconds.</summary>
    public long Now { get; private set; }

    /// <summary>Nothing happens by itself before that time; <see cref="long.MaxValue"/>: nothing ever.</summary>
    public long NextDeadline => _loop.IsEmpty && !Tcp.HasPending ? Wheel.NextDeadline() : Now;

    internal RandomSource Random { get; }

    internal TimerWheel Wheel { get; }

    internal ILink Link => _link;

    /// <summary>
    /// Answers for an address from now on, and tells the link. It is used at once, without duplicate detection (RFC 4862, 5.4): addresses are the operator's, and a stack that takes one
    /// over from another must not keep its connections waiting. Another station that claims it is counted (<see cref="DropReason.AddressConflict"/>).
    /// </summary>
    public void AddAddress(in Address address)
    {
        Shard?.Claims.Add(address);
        _addresses.Add(address);
        if (!address.IsLoopback && Shard is null or { Index: 0 })
        {
            _announcer.Add(address);
        }
    }

    /// <summary>Does not answer for it any more. Its sockets are the caller's to end.</summary>
    public void RemoveAddress(in Address address)
    {
        _addresses.Remove(address);
        _announcer.Remove(address);
        Shard?.Claims.Remove(address);
    }

    /// <summary>Whether the stack answers for it.</summary>
    public bool IsLocal(in Address address) => _addresses.Contains(address);

    /// <summary>Whether there is a route to an address, or it is one of ours.</summary>
    public bool Reaches(in Address address) => IsLocal(address) || Routes.TryNextHop(address, out _);

    /// <summary>Tells the time, and nothing else: before calls that send.</summary>
    public void SetTime(long now) => Now = now > Now ? now : Now;

    /// <summary>Tells the time and fires what is due.</summary>
    public void Advance(long now)
    {
        SetTime(now);
        Wheel.Advance(Now);
    }

    /// <summary>Sends what the turn made due, and delivers what goes from this stack to itself.</summary>
    public void Flush()
    {
        // What comes round may be answered at once; bounded, so that two sockets here cannot keep the loop to themselves.
        for (int rounds = 0; rounds < 16; rounds++)
        {
            Tcp.FlushPending();
            if (_loop.IsEmpty)
            {
                return;
            }

            _loop.Deliver(this);
        }
    }

    void ITimerSink.Fired(Timer* timer)
    {
        if (timer == _neighbourTimer)
        {
            _neighbours.Tick();
            WakeNeighbours();
        }
        else if (_announcer.Owns(timer))
        {
            _announcer.Fired();
        }
        else
        {
            Tcp.Fired(timer);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Tcp.Dispose();
        Udp.Dispose();
        _neighbours.Dispose();
        _reassembler.Dispose();
        _loop.Dispose();
        _announcer.Dispose();
        Wheel.Dispose();
        NativeMemory.Free(_scratch);
        NativeMemory.Free(_neighbourTimer);
    }

    internal void WakeNeighbours()
    {
        if (_neighbours.IsProbing && !_neighbourTimer->IsArmed)
        {
            Wheel.Set(_neighbourTimer, Now + NeighbourTick);
        }
    }

    /// <summary>What a path lets through: the link's MTU, or what ICMP said.</summary>
    internal uint MtuTo(in Address destination)
    {
        uint known = _paths.Find(destination, Now);
        return known != 0 && known < _link.Mtu ? known : _link.Mtu;
    }
}
