using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>The NSM's loop in a thread of this process, behind a fake CoreEngine, on one end of a veth; the kernel's TCP is at the other.</summary>
internal sealed class MtcpNsm : IDisposable
{
    public const string Address4 = "198.18.0.11", Address6 = "2001:2::11", Other4 = "198.18.0.12", Other6 = "2001:2::12", Outside4 = "198.18.0.1",
        Outside6 = "2001:2::1";

    private readonly Thread _thread;
    private Module? _module;
    private NetNamespace? _namespace;
    private Exception? _failure;

    public MtcpNsm(uint loops = 1, PoolLayout? pool = null, params string[] options)
    {
        Engine = new FakeEngine(loops);
        try
        {
            _thread = Start(options);
        }
        catch
        {
            // With options that are refused nobody disposes of this.
            Engine.Dispose();
            throw;
        }

        Guest = Engine.AddGuest(1, Address4, Address6, pool);
    }

    public FakeEngine Engine { get; }

    public FakeGuest Guest { get; }

    public HostExit Exit { get; private set; }

    /// <summary>Connections that the NSM has.</summary>
    public uint Count => _module!.ConnectionCount;

    /// <summary>A listening socket on a port of the stack's choice.</summary>
    public FakeSocket Listener(out int port, string address = Address4, int backlog = 128, int domain = Libc.AF_INET, NqeFlags flags = NqeFlags.None)
    {
        FakeSocket listener = Guest.Socket(domain);
        Assert.Equal(0, listener.Bind(address, 0, flags, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen(backlog));
        port = bound.Port;
        return listener;
    }

    /// <summary>A connected socket of the kernel's.</summary>
    public Socket Dial(string address, int port, Action<Socket>? prepare = null) => Outside(() =>
    {
        IPAddress ip = IPAddress.Parse(address);
        Socket socket = new(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
        prepare?.Invoke(socket);
        socket.Connect(ip, port);
        return socket;
    });

    /// <summary>A listening socket of the kernel's.</summary>
    public Socket OutsideListener(out int port, string address = Outside4)
    {
        Socket listener = Outside(() =>
        {
            IPAddress ip = IPAddress.Parse(address);
            Socket socket = new(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(ip, 0));
            socket.Listen();
            return socket;
        });
        port = ((IPEndPoint)listener.LocalEndPoint!).Port;
        return listener;
    }

    /// <summary>Does something where the kernel's end of the link is.</summary>
    public T Outside<T>(Func<T> action) => _namespace!.Run(action);

    /// <summary>What the NSM says of its connections, asked as nkd asks.</summary>
    public List<ConnectionReport> Reports()
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        socket.Connect(new UnixDomainSocketEndPoint(ReportAnswer.PathOf(Engine.RunDirectory, 1)));
        ReportRequest request = new() { Magic = ReportAnswer.Magic };
        byte[] buffer = new byte[ReportAnswer.Length + (ReportAnswer.Most * ConnectionReport.Length)];
        List<ConnectionReport> found = [];
        for (; ; )
        {
            _ = socket.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<ReportRequest>(in request)));
            int got = socket.Receive(buffer);
            ReportAnswer answer = MemoryMarshal.Read<ReportAnswer>(buffer);
            found.AddRange(MemoryMarshal.Cast<byte, ConnectionReport>(buffer.AsSpan(ReportAnswer.Length, got - ReportAnswer.Length)));
            request.QueueSet = answer.QueueSet;
            request.Id = answer.Id;
            if (answer.IsLast != 0)
            {
                return found;
            }
        }
    }

    public void WaitExit() => Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the loop did not end");

    public void Dispose()
    {
        _module?.Stop();
        WaitExit();
        Guest.Dispose();
        Engine.Dispose();
        Assert.True(_failure == null, _failure?.ToString());
    }

    private void MakeNamespace(Settings settings)
    {
        _namespace = NetNamespace.Enter();
        NetNamespace.Ip("link set lo up");
        NetNamespace.Ip("link add nka type veth peer name nkb");
        if (settings.Link == LinkKind.Xdp)
        {
            Ethtool.SetQueues("nka", settings.Cores);
            Ethtool.SetQueues("nkb", settings.Cores);
            Ethtool.FinishFrames("nkb");
        }

        NetNamespace.Ip("link set nka up");
        NetNamespace.Ip("link set nkb up");

        // As the control plane does it: the NSM takes them away again.
        NetNamespace.Ip($"addr add {Address4}/16 dev nka");
        NetNamespace.Ip($"addr add {Address6}/64 dev nka nodad");
        NetNamespace.Ip($"addr add {Outside4}/16 dev nkb");
        NetNamespace.Ip($"addr add {Outside6}/64 dev nkb nodad");
    }

    private Thread Start(string[] options)
    {
        Settings settings = Settings.Parse(["--run-dir", Engine.RunDirectory, "--id", "1", "--interface", "nka", .. options]);
        using ManualResetEventSlim started = new();
        var thread = new Thread(() =>
        {
            try
            {
                MakeNamespace(settings);
                using Module module = Module.Open(settings);
                _module = module;
                started.Set();
                Exit = module.Run();
            }
            catch (Exception e)
            {
                _failure = e;
                started.Set();
            }
        });
        thread.Start();
        try
        {
            Engine.TakeNsm();
        }
        catch (TimeoutException) when (_failure != null)
        {
            // Told below.
        }

        started.Wait();
        Assert.True(_failure == null, _failure?.ToString());
        return thread;
    }
}
