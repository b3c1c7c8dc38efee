using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>NQEs as a guest or an NSM makes them, and sockets in the states that tests start from.</summary>
internal static unsafe class Make
{
    public static Nqe Nqe(Op op, uint socket, ulong opData = 0, ulong dataPtr = 0, uint size = 0, ushort aux = 0, NqeFlags flags = NqeFlags.None) => new()
    {
        Op = op,
        Socket = socket,
        OpData = opData,
        DataPtr = dataPtr,
        Size = size,
        Aux = aux,
        Flags = flags,
    };

    public static Nqe Socket(uint socket, ulong domain = 2) => Nqe(Op.Socket, socket, domain | (1ul << 16));

    public static Nqe Datagrams(uint socket, ulong domain = 2) => Nqe(Op.Socket, socket, domain | ((ulong)Libc.SOCK_DGRAM << 16) | (17ul << 32));

    public static Nqe Done(in Nqe request, uint errno = 0)
    {
        Nqe done = request;
        done.Op = (Op)((byte)request.Op | 0x80);
        done.Size = errno;
        return done;
    }

    /// <summary>An IPv4 address, as Address4 of a guest has it, as a Connect or NewConnection has it in DataPtr.</summary>
    public static ulong Mapped(uint address4) => 0xFFFF_0000 | ((ulong)address4 << 32);

    /// <summary>A connected socket of the guest; its connection id.</summary>
    public static uint Connected(FakeGuest guest, FakeNsm nsm, uint socket, uint q = 0, bool subscribe = false, ulong low = 1, ulong high = 2)
    {
        uint loop = q % guest.Header->Counts.Loops;
        if (subscribe)
        {
            guest.Subscribe(q);
        }

        guest.Claim(socket, q);
        guest.Post(q, RingKind.Job, Socket(socket));
        uint id = nsm.Expect(Op.Socket, RingKind.Job, loop).Socket;
        guest.Post(q, RingKind.Job, Nqe(Op.Connect, socket, low, high, aux: 80));
        Nqe connect = nsm.Expect(Op.Connect, RingKind.Job, loop);
        Assert.Equal(id, connect.Socket);
        nsm.Post(RingKind.Completion, Nqe(Op.ConnectDone, id, 3, 4, aux: 40000), loop);
        Nqe done = guest.Take(q, RingKind.Completion);
        Assert.Equal((Op.ConnectDone, socket, 0u), (done.Op, done.Socket, done.Size));
        return id;
    }

    /// <summary>A listener of the guest; its connection id.</summary>
    public static uint Listening(FakeGuest guest, FakeNsm nsm, uint socket, ushort port, uint q = 0)
    {
        uint loop = q % guest.Header->Counts.Loops;
        guest.Claim(socket, q);
        guest.Post(q, RingKind.Job, Socket(socket));
        uint id = nsm.Expect(Op.Socket, RingKind.Job, loop).Socket;
        guest.Post(q, RingKind.Job, Nqe(Op.Bind, socket, 0, 0, aux: port, flags: NqeFlags.Wildcard | NqeFlags.ReuseAddress));
        nsm.Post(RingKind.Completion, Done(nsm.Expect(Op.Bind, RingKind.Job, loop)), loop);
        Assert.Equal(Op.BindDone, guest.Take(q, RingKind.Completion).Op);
        guest.Post(q, RingKind.Job, Nqe(Op.Listen, socket, 511));
        nsm.Post(RingKind.Completion, Done(nsm.Expect(Op.Listen, RingKind.Job, loop)), loop);
        Assert.Equal(Op.ListenDone, guest.Take(q, RingKind.Completion).Op);
        return id;
    }

    /// <summary>A bound datagram socket of the guest; its connection id.</summary>
    public static uint Bound(FakeGuest guest, FakeNsm nsm, uint socket, ushort port)
    {
        guest.Claim(socket, 0);
        guest.Post(0, RingKind.Job, Datagrams(socket));
        uint id = nsm.Expect(Op.Socket, RingKind.Job).Socket;
        guest.Post(0, RingKind.Job, Nqe(Op.Bind, socket, 5, 6, aux: port, flags: NqeFlags.Wildcard));
        nsm.Post(RingKind.Completion, Done(nsm.Expect(Op.Bind, RingKind.Job)));
        Assert.Equal((Op.BindDone, 0u), (guest.Take(0, RingKind.Completion) is var done ? done.Op : default, done.Size));
        return id;
    }
}
