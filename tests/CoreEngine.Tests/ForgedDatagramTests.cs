using System.Diagnostics;
using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>Elements about datagram sockets that no honest side writes: from the guest, and from the NSM to the engine and through it to a program.</summary>
public sealed unsafe class ForgedDatagramTests
{
    private const uint EOPNOTSUPP = 95;

    private const string Receiver =
        """
        import socket
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(('198.18.0.9', 9))
        print('connected', flush=True)
        while True:
            try:
                print(len(s.recv(65536)), flush=True)
            except OSError as e:
                print('errno', e.errno, flush=True)
                break
        """;

    [Fact]
    public void What_an_NSM_says_of_a_datagram_socket_that_is_not_so_does_not_reach_the_guest()
    {
        (EngineHost host, FakeNsm nsm, FakeGuest guest) = EngineHost.WithGuest();
        using (host)
        using (nsm)
        using (guest)
        {
            uint id = Make.Bound(guest, nsm, socket: 3, port: 53);
            Op[] events = [Op.Renewed, Op.PeerClosed, Op.NewConnection, Op.Direct, Op.DirectNews];
            Op[] completions = [Op.AcceptDone, Op.BindDone, Op.ListenDone, Op.ConnectDone, Op.GetOptionDone, Op.SetOptionDone, Op.Connecting, Op.Closed, Op.SendDone];
            foreach (Op op in events)
            {
                nsm.Post(RingKind.Receive, Make.Nqe(op, id, 1, 2, size: 99));
            }

            foreach (Op op in completions)
            {
                nsm.Post(RingKind.Completion, Make.Nqe(op, id, 1, 2, size: 99));
            }

            using Stats stats = host.Stats();
            Waiting.Until(() => stats.Nsm(1).Stray == (ulong)(events.Length + completions.Length), "all are counted as strays");
            nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: guest.PoolLayout.RxOffset, size: 100));
            Nqe data = guest.Take(0, RingKind.Receive);
            Assert.Equal((Op.Data, 3u, 100u), (data.Op, data.Socket, data.Size));
            Assert.Equal(0u, guest.TryTake(0, RingKind.Completion, new Nqe[1]));
        }
    }

    [Fact]
    public void A_guest_that_listens_on_a_datagram_socket_is_refused_and_goes_on()
    {
        (EngineHost host, FakeNsm nsm, FakeGuest guest) = EngineHost.WithGuest();
        using (host)
        using (nsm)
        using (guest)
        {
            uint id = Make.Bound(guest, nsm, socket: 3, port: 53);
            guest.Post(0, RingKind.Job, Make.Nqe(Op.Listen, 3, 5));
            Nqe done = guest.Take(0, RingKind.Completion);
            Assert.Equal((Op.ListenDone, EOPNOTSUPP), (done.Op, done.Size));
            guest.TxOwners[0] = TxOwner.InFlight | 3;
            guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 3, dataPtr: PoolLayout.TxOffset, size: 1, flags: (NqeFlags)255)); // no header, and every flag
            Assert.Equal(id, nsm.Expect(Op.Send, RingKind.Send).Socket); // what it means is the stack's to say
            nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, opData: 22, dataPtr: PoolLayout.TxOffset, size: 1));
            Assert.Equal((Op.SendDone, 22ul), (guest.Take(0, RingKind.Completion) is var sent ? sent.Op : default, sent.OpData));
            Assert.Equal(RegionState.Running, guest.Header->State);
        }
    }

    /// <summary>A program's socket fails with EIO; the program reads nothing that was not sent to it.</summary>
    [Theory]
    [InlineData("no whole header", DatagramHeader.Bytes - 1, false)]
    [InlineData("a rest that goes on", DatagramHeader.Bytes, true)]
    public void A_program_is_told_that_its_NSM_forges_datagrams(string what, int size, bool goesOn)
    {
        string library = Path.Combine(Environment.GetEnvironmentVariable("NK_OUT") ?? "", "libnetkernel.so");
        if (!File.Exists(library))
        {
            return; // the library is not built: ./nk test builds it
        }

        SharedRegion? pool = null;
        using var host = new EngineHost();
        host.Control.AddNsm(1);
        using var nsm = new FakeNsm(host.EngineSocket, 1)
        {
            Adding = (_, fd) =>
            {
                pool = SharedRegion.Open(Libc.Fcntl(fd, 1030, 0), PoolLayout.Default.Length);
                return 0;
            },
        };
        host.Control.AddGuest(1, 1);
        var start = new ProcessStartInfo("/usr/bin/python3", ["-S", "-c", Receiver]) { RedirectStandardOutput = true };
        start.Environment["LD_PRELOAD"] = Path.GetFullPath(library);
        start.Environment["NETKERNEL_ATTACH"] = host.GuestSocket(1);
        using Process program = Process.Start(start)!;
        try
        {
            Nqe request;
            while ((request = nsm.Take(RingKind.Job)).Op != Op.Connect)
            {
                Assert.True(request.Op is Op.Socket or Op.SetOption, $"{what}: {request.Op}");
            }

            nsm.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, request.Socket, request.OpData, request.DataPtr, aux: 4000));
            Assert.Equal("connected", program.StandardOutput.ReadLine());

            ulong place = PoolLayout.Default.RxOffset;
            DatagramHeader header = new() { Length = 4 };
            MemoryMarshal.Write(new Span<byte>(pool!.Start + place, DatagramHeader.Bytes), header);
            nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, request.Socket, dataPtr: place, size: DatagramHeader.Bytes + 4));
            Assert.Equal("4", program.StandardOutput.ReadLine());

            NqeFlags flags = goesOn ? NqeFlags.More : NqeFlags.None;
            nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, request.Socket, dataPtr: place + PoolLayout.SmallBytes, size: (uint)size, flags: flags));
            if (goesOn)
            {
                nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, request.Socket, dataPtr: place + (2 * PoolLayout.SmallBytes), size: 10, flags: flags));
            }

            Assert.Equal("errno 5", program.StandardOutput.ReadLine()); // EIO
            Assert.True(program.WaitForExit(20_000));
        }
        finally
        {
            program.Kill();
            program.WaitForExit();
            pool?.Dispose();
        }
    }
}
