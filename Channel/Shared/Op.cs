using System;

namespace NetKernel.Channel;

/// <summary>Operations and events. Requests are below 0x40, events 0x40-0x7F, a completion is its request with bit 7 set.</summary>
public enum Op : byte
{
    /// <summary>Never sent; a zeroed slot is thereby invalid.</summary>
    None = 0,

    // --- job ring: control requests, each but Socket answered on the completion ring ---

    /// <summary>Make a socket: OpData = domain | type &lt;&lt; 16 | protocol &lt;&lt; 32. No completion; a failure shows in the next request.</summary>
    Socket = 0x01,

    /// <summary>Bind: address, Aux = port. The completion carries the address and port bound.</summary>
    Bind = 0x02,

    /// <summary>Listen: OpData = backlog.</summary>
    Listen = 0x03,

    /// <summary>
    /// Connect: address, Aux = port. Completed when established or failed; carries the local address and port. A SOCK_DGRAM socket may connect again, and
    /// with <see cref="NqeFlags.Abort"/> it is connected to nobody afterwards.
    /// </summary>
    Connect = 0x04,

    /// <summary>getsockopt: OpData = level | name &lt;&lt; 32, Size = room. Completion: DataPtr = place in the RX pool (return it with RxCredit), OpData = length.</summary>
    GetOption = 0x05,

    // --- send ring: requests with data and what must stay in order with data ---

    /// <summary>
    /// Data: DataPtr = place in the TX pool, Size = bytes. Completed by SendDone. Of a SOCK_DGRAM socket: one datagram, behind a
    /// <see cref="DatagramHeader"/>.
    /// </summary>
    Send = 0x08,

    /// <summary>An RX buffer is consumed: DataPtr = its place as it was announced. No completion.</summary>
    RxCredit = 0x09,

    /// <summary>setsockopt: DataPtr = level | name &lt;&lt; 32, OpData = value (up to 8 bytes), Size = its length. Completed only with <see cref="NqeFlags.Sync"/>. Allowed on the job ring too.</summary>
    SetOption = 0x0A,

    /// <summary>shutdown: OpData = SHUT_RD, SHUT_WR or SHUT_RDWR.</summary>
    Shutdown = 0x0B,

    /// <summary>Last close. Data sent before is still delivered. Completed by Closed; the socket id is free only then.</summary>
    Close = 0x0C,

    /// <summary>Take an announced connection: Socket = the guest's new id, OpData = the handle, DataPtr = the listener's socket id.</summary>
    Accept = 0x0D,

    /// <summary>Refuse an announced connection: Socket = the listener, OpData = the handle.</summary>
    Decline = 0x0E,

    /// <summary>
    /// A connection in the direct form: processes of the peer sleep that have news in the region. OpData is not 0 when the news is data: where the peer is gone, that is answered by a reset. No completion.
    /// </summary>
    Kick = 0x0F,

    // --- receive ring: events ---

    /// <summary>Data arrived: DataPtr = place in the RX pool, Size = bytes. Return it with RxCredit. Datagrams: as <see cref="Send"/>.</summary>
    Data = 0x40,

    /// <summary>A connection waits: Socket = listener, address and Aux = the peer's, Size = its handle.</summary>
    NewConnection = 0x41,

    /// <summary>The peer sent FIN: no more data follows.</summary>
    PeerClosed = 0x42,

    /// <summary>The connection ended with an error: OpData = errno. No data follows; Close is still needed.</summary>
    Reset = 0x43,

    /// <summary>
    /// A SOCK_DGRAM socket has an error, mostly an ICMP message: OpData = errno, or 0; Size is not 0 when the stack's error queue holds more (see
    /// <see cref="StackOption"/>). The socket goes on.
    /// </summary>
    Error = 0x44,

    /// <summary>
    /// The NSM has data for the socket and no place: credits that lie in a ring of the guest unannounced (quiet publishing) are to be announced, and those of what is not read yet as
    /// soon as it is.
    /// </summary>
    CreditWanted = 0x45,

    /// <summary>
    /// A SOCK_DGRAM socket that was Reset with <see cref="NqeFlags.Abort"/> has been made again at the next NSM, with its options, address and peer: OpData = the
    /// <see cref="ControlHeader.NsmEpoch"/> that it belongs to now. Of what was sent before nothing is in flight any more.
    /// </summary>
    Renewed = 0x46,

    /// <summary>The connection may go on in the direct form: OpData = region, and above it the end (<see cref="DirectPlace"/>).</summary>
    Direct = 0x47,

    /// <summary>The peer has sent a <see cref="Kick"/>.</summary>
    DirectNews = 0x48,

    /// <summary>NSM to CoreEngine alone: bytes moved in the direct form since the last time: OpData = sent, DataPtr = received.</summary>
    Moved = 0x49,

    // --- completion ring ---

    /// <summary>Completion of <see cref="Bind"/>.</summary>
    BindDone = 0x80 | Bind,

    /// <summary>Completion of <see cref="Listen"/>.</summary>
    ListenDone = 0x80 | Listen,

    /// <summary>Completion of <see cref="Connect"/>.</summary>
    ConnectDone = 0x80 | Connect,

    /// <summary>Completion of <see cref="GetOption"/>.</summary>
    GetOptionDone = 0x80 | GetOption,

    /// <summary>The TX buffer is free again: DataPtr and Size as in the Send.</summary>
    SendDone = 0x80 | Send,

    /// <summary>
    /// The shared-memory NSM to CoreEngine alone: a datagram (or a half of one) that is not for it to deliver: DataPtr, Size and flags as in the Send. CoreEngine gives it to the guest's own NSM.
    /// </summary>
    SendElsewhere = 0xC0 | Send,

    /// <summary>Completion of a <see cref="SetOption"/> with <see cref="NqeFlags.Sync"/>.</summary>
    SetOptionDone = 0x80 | SetOption,

    /// <summary>Completion of <see cref="Accept"/>: local address, Aux = local port, Size = errno.</summary>
    AcceptDone = 0x80 | Accept,

    /// <summary>
    /// A <see cref="Connect"/> of a SOCK_STREAM socket is under way: local address, Aux = local port. Not its answer, which comes later; nobody is woken for it.
    /// </summary>
    Connecting = 0xC0 | Connect,

    /// <summary>Nothing of the socket remains; its ids may be used again.</summary>
    Closed = 0x80 | Close,
}

/// <summary>Bits of <see cref="Nqe.Flags"/>.</summary>
[Flags]
public enum NqeFlags : byte
{
    /// <summary>No flag.</summary>
    None = 0,

    /// <summary>MSG_MORE: more data follows at once. Datagrams: the rest of this one follows in the next NQE of the socket.</summary>
    More = 1,

    /// <summary>Connect, from CoreEngine to the shared-memory NSM: policy allows the direct form.</summary>
    Direct = 1,

    /// <summary>A completion is wanted where the op has none by default. A Send's SendDone carries it too: somebody waits for it.</summary>
    Sync = 2,

    /// <summary>Close: abort with RST. Reset: the NSM itself is gone, RX data of this socket is void; a SOCK_DGRAM socket goes on with <see cref="Op.Renewed"/>. Connect: end the association (AF_UNSPEC).</summary>
    Abort = 4,

    /// <summary>The socket was bound by the program before (Connect must keep that address).</summary>
    Bound = 8,

    /// <summary>Send, Data: not the first chunk of its datagram.</summary>
    Continued = 8,

    /// <summary>Bind, Connect: the program's address was a wildcard; the NSM puts the guest's own in its place.</summary>
    Wildcard = 16,

    /// <summary>Bind: IPV6_V6ONLY is set on the socket.</summary>
    V6Only = 32,

    /// <summary>Bind: SO_REUSEADDR is set on the socket.</summary>
    ReuseAddress = 64,

    /// <summary>Bind: SO_REUSEPORT is set on the socket.</summary>
    ReusePort = 128,
}

/// <summary>Options of GetOption that are between guest and NSM, and no stack's own.</summary>
public static class StackOption
{
    /// <summary>Their level.</summary>
    public const int Level = 0x4E4B;

    /// <summary>Takes the oldest entry of a socket's error queue: an <see cref="ErrorRecord"/> and as much of the payload as there is room for. EAGAIN: it is empty.</summary>
    public const int ErrorQueue = 1;
}
