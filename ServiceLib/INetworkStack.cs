using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <summary>
/// What a network stack offers to <see cref="StackHost"/>. All calls come from the loop's thread, and none may block or allocate. The host has checked
/// guests, connection ids, offsets, sizes and handles before; a connection is the stack's from <see cref="Socket"/> or <see cref="Accept"/> until it
/// calls <see cref="StackHost.Closed"/> or is told to <see cref="Drop"/> it.
/// </summary>
/// <remarks>
/// Only <see cref="Run"/> may call the host's functions that emit several events (deliver, complete sends, reset, announce, closed); requests answer with at most one
/// completion, at once or later from Run; <see cref="Ready"/> and <see cref="Poll"/> only note what happened and <see cref="StackHost.Schedule"/>. That way no event is
/// ever lost to a full ring.
/// </remarks>
public unsafe interface INetworkStack
{
    /// <summary>Bytes of its own state that the stack wants behind every <see cref="Connection"/>, zeroed at Socket and Accept.</summary>
    int StateBytes { get; }

    /// <summary>Whether <see cref="GetOption"/> answers TCP_INFO with real round-trip times and retransmissions.</summary>
    bool HasTcp => false;

    /// <summary>Names of the reasons for which it drops packets, up to 31 of a-z, 0-9 and '_'; none: it does not count them.</summary>
    string[] DropReasons => [];

    /// <summary>From now on packets dropped are counted there, a number per reason; null: that memory goes, and the stack counts for itself again.</summary>
    void CountDropsAt(ulong* counters)
    {
    }

    /// <summary>The host is attached; its epoll fd exists.</summary>
    void Start(StackHost host);

    /// <summary>A guest came.</summary>
    void GuestAdded(Guest guest);

    /// <summary>A guest went; all its connections have been dropped.</summary>
    void GuestRemoved(Guest guest);

    /// <summary>A new socket. An errno is shown to the guest in the completion of its next request.</summary>
    int Socket(Connection* c, int domain, int type, int protocol);

    /// <summary>Bind; answered by <see cref="StackHost.CompleteAddress"/>.</summary>
    void Bind(Connection* c, in Endpoint address, NqeFlags flags);

    /// <summary>Listen; answered by <see cref="StackHost.CompleteAddress"/>.</summary>
    void Listen(Connection* c, int backlog);

    /// <summary>Connect; answered by <see cref="StackHost.CompleteAddress"/> when established or failed, or by <see cref="StackHost.Connecting"/> and later that.</summary>
    void Connect(Connection* c, in Endpoint address, NqeFlags flags);

    /// <summary>Puts the value into <paramref name="value"/> (at most <paramref name="room"/> bytes) and its length into <paramref name="length"/>. Returns an errno.</summary>
    int GetOption(Connection* c, int level, int name, byte* value, uint room, out uint length);

    /// <summary>Sets an option from 1 to 8 bytes; after the data queued before it, as far as the stack can. Returns an errno.</summary>
    int SetOption(Connection* c, int level, int name, ulong value, uint length);

    /// <summary>The number, above 0, by which the stack knows that congestion control; or an errno below 0. Asked seldom: it may allocate. Only of a stack that <see cref="HasTcp"/>.</summary>
    int FindCongestion(string name) => -Channel.Host.Libc.ENOENT;

    /// <summary>A socket that is not connected gets that congestion control, and its connections if it listens; 0: the NSM's own. Of sockets without one nothing comes of it.</summary>
    void SetCongestion(Connection* c, int which)
    {
    }

    /// <summary>Shutdown, after the data queued before it.</summary>
    void Shutdown(Connection* c, int how);

    /// <summary>The guest takes the connection that <paramref name="listener"/> announced and that <paramref name="token"/> stands for. Returns an errno; 0 with its local address.</summary>
    int Accept(Connection* c, Connection* listener, ulong token, out Endpoint local);

    /// <summary>The guest does not take it.</summary>
    void Decline(ulong token);

    /// <summary>
    /// With several hosts: the guest takes a connection that another of them announced. The stack fetches it and calls <see cref="StackHost.TookOver"/> from Run, unless the
    /// connection is told to close or be dropped before. False: it cannot.
    /// </summary>
    bool TakeOver(Connection* c, uint shard, ulong handle) => false;

    /// <summary>With several hosts: the guest does not take what another of them announced.</summary>
    void DeclineElsewhere(uint guest, uint shard, ulong handle)
    {
    }

    /// <summary>
    /// The last close: send what is queued, then end; or end at once. The host has taken the RX chunks back and declined what was
    /// announced. Answered from Run by <see cref="StackHost.Closed"/>.
    /// </summary>
    void Close(Connection* c, bool abort);

    /// <summary>End at once and answer nothing: the guest is gone.</summary>
    void Drop(Connection* c);

    /// <summary>Scheduled: sends are queued, credits came back, or the stack itself asked for it. Bounded work, then schedule again.</summary>
    void Run(Connection* c);

    /// <summary>An fd that the stack put into the host's epoll set is ready.</summary>
    void Ready(ulong data, uint events);

    /// <summary>A turn begins, perhaps after a long sleep: a stack that has a clock of its own tells the time.</summary>
    void Begin()
    {
    }

    /// <summary>Once per turn, for stacks with work outside fds (timers, links). Returns the amount of work found.</summary>
    uint Poll();

    /// <summary>Poll finds whatever makes the stack's fds ready; the host need look at them only before it sleeps, and now and then.</summary>
    bool PollsItself => false;

    /// <summary>The guest has news for its peer in memory that both map (<see cref="Op.Kick"/>); only of a stack that has told it of such memory.</summary>
    void Nudge(Connection* c, bool data)
    {
    }

    /// <summary>How long the loop may sleep before <see cref="Poll"/> is due again, milliseconds; -1: until something happens.</summary>
    int SleepLimit() => -1;
}
