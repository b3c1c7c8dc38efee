using System.Net;
using System.Net.Sockets;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>
/// The kernel NSM's loop in a thread of this process, behind a fake CoreEngine: on this machine's loopback in private mode, or in a network
/// namespace of its own in bridge mode.
/// </summary>
internal sealed class KernelNsm : IDisposable
{
    public const string Address4 = "198.18.0.11", Address6 = "2001:2::11", Other4 = "198.18.0.12", Other6 = "2001:2::12", Outside4 = "198.18.0.1",
        Outside6 = "2001:2::1";

    private readonly Thread _thread;
    private readonly Probe _probe;
    private StackHost? _host;
    private NetNamespace? _namespace;
    private Exception? _failure;

    public KernelNsm(uint loops = 1, bool bridge = false, PoolLayout? pool = null, string mode = "private", params string[] options)
    {
        Engine = new FakeEngine(loops);
        Settings settings = Settings.Parse(["--run-dir", Engine.RunDirectory, "--id", "1", "--mode", bridge ? "bridge" : mode, .. options]);
        _probe = new Probe(new KernelStack(settings));
        using ManualResetEventSlim started = new();
        _thread = new Thread(() =>
        {
            try
            {
                if (bridge)
                {
                    MakeNamespace();
                }

                using NsmChannel channel = NsmChannel.Attach(Engine.RunDirectory, settings.Id);
                _host = new StackHost(channel, _probe);
                started.Set();
                Exit = _host.Run(new IdleStrategy(0, 20));
            }
            catch (Exception e)
            {
                _failure = e;
                started.Set();
            }
        });
        _thread.Start();
        Engine.TakeNsm();
        started.Wait();
        Assert.Null(_failure);
        Guest = bridge ? Engine.AddGuest(1, Address4, Address6, pool) : Engine.AddGuest(1, pool: pool);
    }

    /// <summary>Bridge mode needs a network namespace, and that needs root.</summary>
    public static bool CanBridge => Environment.IsPrivilegedProcess;

    public FakeEngine Engine { get; }

    public FakeGuest Guest { get; }

    public HostExit Exit { get; private set; }

    /// <summary>Connections that the NSM has.</summary>
    public uint Count => _host!.ConnectionCount;

    /// <summary>What the loop's thread has allocated, as of the last turn.</summary>
    public long Allocated => _probe.Allocated;

    /// <summary>A listening socket on a port of the kernel's choice.</summary>
    public FakeSocket Listener(out int port, string address = "127.0.0.1", int backlog = 128, int domain = Libc.AF_INET, NqeFlags flags = NqeFlags.None)
    {
        FakeSocket listener = Guest.Socket(domain);
        Assert.Equal(0, listener.Bind(address, 0, flags, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen(backlog));
        port = bound.Port;
        return listener;
    }

    /// <summary>A connected socket of the world outside the NSM.</summary>
    public Socket Dial(string address, int port, Action<Socket>? prepare = null) => Outside(() =>
    {
        IPAddress ip = IPAddress.Parse(address);
        Socket socket = new(ip.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
        prepare?.Invoke(socket);
        socket.Connect(ip, port);
        return socket;
    });

    /// <summary>Does something where the NSM's network is.</summary>
    public T Outside<T>(Func<T> action) => _namespace == null ? action() : _namespace.Run(action);

    public void WaitExit() => Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the loop did not end");

    public void Dispose()
    {
        _host?.Stop();
        WaitExit();
        Guest.Dispose();
        Engine.Dispose();
    }

    private void MakeNamespace()
    {
        _namespace = NetNamespace.Enter();
        NetNamespace.Ip("link set lo up");
        foreach (string address in (string[])[Address4 + "/32", Other4 + "/32", Outside4 + "/32", Address6 + "/128", Other6 + "/128", Outside6 + "/128"])
        {
            NetNamespace.Ip($"addr add {address} dev lo");
        }

        // The kernel finishes with IPv6 addresses a little later.
        DateTime deadline = DateTime.UtcNow + TimeSpan.FromSeconds(30);
        foreach (string address in (string[])[Address6, Other6, Outside6])
        {
            while (!IsReady(IPAddress.Parse(address)))
            {
                Assert.True(DateTime.UtcNow < deadline, $"{address} does not come up");
                _ = Libc.Yield();
            }
        }

        static bool IsReady(IPAddress address)
        {
            try
            {
                using Socket probe = new(AddressFamily.InterNetworkV6, SocketType.Dgram, ProtocolType.Udp);
                probe.Bind(new IPEndPoint(address, 0));
                probe.Connect(address, 9);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }
}
