using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>
/// One slow link (tc's tbf on a bridge port, in network namespaces made for it) that flows of ours and of Linux's share on their way to one receiver, which is Linux's.
/// </summary>
internal sealed unsafe class Bottleneck : ITcpUser
{
    private const string Receiver = "198.18.0.1", Ours = "198.18.0.2", Theirs = "198.18.0.3";
    private const ushort Port = 7000;
    private const int MostFlows = 2;

    private readonly byte* _data = (byte*)System.Runtime.InteropServices.NativeMemory.AllocZeroed(1 << 20);
    private readonly long[] _received = new long[MostFlows];
    private readonly List<Socket> _sockets = [];
    private NetworkStack? _stack;
    private volatile bool _stop;
    private Exception? _failure;

    /// <summary>Bytes of each of two flows, of ours or of Linux's, while that many crossed the link; those before are not counted.</summary>
    public static long[] Share(string congestion, bool firstIsOurs, bool secondIsOurs, long warmUp, long bytes)
    {
        long[] result = [];
        NetNamespace.InThread(() => result = new Bottleneck().Run(congestion, [firstIsOurs, secondIsOurs], warmUp, bytes));
        return result;
    }

    void ITcpUser.Changed(Tcb* t)
    {
        if (t->State == TcpState.Established && t->Buffered == 0)
        {
            _stack!.Tcp.Write(t, 1 << 20, more: false);
        }
    }

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length) => length;

    void ITcpUser.Acked(Tcb* t, uint bytes) => _stack!.Tcp.Write(t, bytes, more: false);

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        pieces[0] = new Extent { Start = _data, Length = length };
        found = length;
        return 1;
    }

    private static long Now => Stopwatch.GetTimestamp() / 1000;

    private static Socket NewSocket(string congestion)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.SetRawSocketOption(6, 13, Encoding.ASCII.GetBytes(congestion));
        return socket;
    }

    private long[] Run(string congestion, bool[] ours, long warmUp, long bytes)
    {
        _ = NetNamespace.Enter(ipv6: false);
        NetNamespace.Tool("ip", "link add nkbr type bridge");
        NetNamespace.Tool("ip", "link set nkbr up");
        NetNamespace.Tool("ip", "link add nka type veth peer name nkap");
        NetNamespace.Tool("ip", "link set nkap master nkbr up");
        NetNamespace.Tool("ip", "link set nka up");
        List<Thread> threads = [];
        try
        {
            InNamespace(threads, "nkr", Receiver, () => Sink());
            NetNamespace.Tool("tc", "qdisc add dev nkrp root tbf rate 20mbit burst 16kb limit 100000");
            InNamespace(threads, "nks", Theirs, () =>
            {
                for (int i = 0; i < ours.Length; i++)
                {
                    if (!ours[i])
                    {
                        Push(congestion, i);
                    }
                }
            });
            return Turn(congestion, ours, warmUp, bytes);
        }
        finally
        {
            _stop = true;
            lock (_sockets)
            {
                _sockets.ForEach(socket => socket.Dispose());
            }

            threads.ForEach(thread => thread.Join());
        }
    }

    /// <summary>Our flows, and the count of what arrives of all.</summary>
    private long[] Turn(string congestion, bool[] ours, long warmUp, long bytes)
    {
        using PacketDevice device = PacketDevice.Open("nka");
        using NetworkStack stack = new(
            new StackOptions { MaxConnections = 16, MaxTimeWait = 16, MaxSegments = 1 << 14, MaxBlocks = 1 << 10, Congestion = CongestionControl.Find(congestion)! }, device, new RandomSource(1, 2), Now);
        _stack = stack;
        stack.Tcp.User = this;
        stack.AddAddress(KernelPeer.ParseAddress(Ours));
        Assert.True(stack.Routes.Add(KernelPeer.ParseAddress("198.18.0.0"), 16, default));
        for (int i = 0; i < ours.Length; i++)
        {
            if (ours[i])
            {
                Tcb* t = stack.Tcp.Open((void*)1);
                Assert.Equal(0, stack.Tcp.Connect(t, KernelPeer.ParseAddress(Ours), KernelPeer.ParseAddress(Receiver), (ushort)(Port + i)));
            }
        }

        long[]? before = null;
        while (true)
        {
            stack.Advance(Now);
            uint work = device.Receive(stack);
            stack.Flush();
            device.Flush();
            Assert.True(_failure == null, _failure?.ToString());
            long[] got = [Volatile.Read(ref _received[0]), Volatile.Read(ref _received[1])];
            if (before == null && got.Sum() >= warmUp && got.All(n => n != 0))
            {
                before = got;
            }
            else if (before != null && got.Sum() - before.Sum() >= bytes)
            {
                return [got[0] - before[0], got[1] - before[1]];
            }

            if (work == 0)
            {
                _ = Libc.Yield();
            }
        }
    }

    /// <summary>A thread in a namespace of its own, with one end of a veth whose other end is a port of the bridge; returns when it is there.</summary>
    private void InNamespace(List<Thread> threads, string name, string address, Action action)
    {
        using ManualResetEventSlim made = new(), moved = new();
        string path = "";
        using ManualResetEventSlim ready = new();
        Thread thread = new(() =>
        {
            try
            {
                path = NetNamespace.Enter(ipv6: false).Path;
                made.Set();
                moved.Wait();
                NetNamespace.Tool("ip", $"addr add {address}/16 dev {name}");
                NetNamespace.Tool("ip", $"link set {name} up");
                ready.Set();
                action();
            }
            catch (Exception) when (_stop)
            {
                // The sockets were closed under it.
            }
            catch (Exception e)
            {
                _failure = e;
                made.Set();
                ready.Set();
            }
        });
        thread.Start();
        threads.Add(thread);
        made.Wait();
        NetNamespace.Tool("ip", $"link add {name} type veth peer name {name}p");
        NetNamespace.Tool("ip", $"link set {name}p master nkbr up");
        NetNamespace.Tool("ip", $"link set {name} netns {path}");
        moved.Set();
        ready.Wait();
        Assert.True(_failure == null, _failure?.ToString());
    }

    private Socket Keep(Socket socket)
    {
        lock (_sockets)
        {
            _sockets.Add(socket);
        }

        return socket;
    }

    /// <summary>The receiver: a listener per flow, in threads of this one's namespace.</summary>
    private void Sink()
    {
        Thread[] flows = [.. Enumerable.Range(0, MostFlows).Select(i =>
        {
            Socket listener = Keep(NewSocket("cubic"));
            listener.Bind(new IPEndPoint(IPAddress.Parse(Receiver), Port + i));
            listener.Listen();
            return Start(() =>
            {
                Socket socket = Keep(listener.Accept());
                byte[] buffer = new byte[256 << 10];
                for (int n; (n = socket.Receive(buffer)) > 0;)
                {
                    _ = Interlocked.Add(ref _received[i], n);
                }
            });
        })];
        Array.ForEach(flows, flow => flow.Join());
    }

    /// <summary>A flow of Linux's.</summary>
    private void Push(string congestion, int flow)
    {
        Socket socket = Keep(NewSocket(congestion));
        socket.Connect(IPAddress.Parse(Receiver), Port + flow);
        _ = Start(() =>
        {
            byte[] data = new byte[64 << 10];
            while (!_stop)
            {
                _ = socket.Send(data);
            }
        });
    }

    private Thread Start(Action action)
    {
        Thread thread = new(() =>
        {
            try
            {
                action();
            }
            catch (Exception) when (_stop)
            {
                // The socket was closed under it.
            }
            catch (Exception e)
            {
                _failure = e;
            }
        });
        thread.Start();
        return thread;
    }
}
