using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>What the links between a stack and the kernel do.</summary>
internal sealed record Wire(double Loss = 0, double Duplicate = 0, double Reorder = 0, bool Gso = true, uint Mtu = 1500);

/// <summary>Kinds of links: AF_XDP in the driver, and behind it.</summary>
public enum Link
{
    Packet,
    Tap,
    Xdp,
    XdpGeneric,
}

/// <summary>A network namespace of its own, the kernel's TCP on one end of a link, our stack on the other, run by a thread.</summary>
internal sealed unsafe class KernelPeer : IDisposable
{
    public const string Kernel4 = "198.18.0.1", Kernel6 = "2001:2::1", Ours4 = "198.18.0.2", Ours6 = "2001:2::2";

    private readonly Thread _thread;
    private readonly ManualResetEventSlim _ready = new();
    private readonly Queue<Action> _work = new();
    private volatile bool _stop;
    private Exception? _failure;
    private NetNamespace? _namespace;

    public KernelPeer(Link kind, Wire? wire = null, string congestion = "cubic")
    {
        wire ??= new Wire();
        bool tap = kind == Link.Tap;
        _thread = new Thread(() =>
        {
            try
            {
                MakeNamespace(tap, wire.Mtu);
                using Device device = Open(kind, wire.Mtu);
                if (tap)
                {
                    NetNamespace.Ip($"link set nkt0 mtu {wire.Mtu} up");
                    NetNamespace.Ip($"addr add {Kernel4}/16 dev nkt0");
                    NetNamespace.Ip($"addr add {Kernel6}/64 dev nkt0 nodad");
                }

                ImpairedLink link = new(device, wire);
                using NetworkStack stack = new(
                    new StackOptions { MaxConnections = 4096, MaxTimeWait = 4096, MaxSegments = 1 << 16, Congestion = CongestionControl.Find(congestion)! },
                    link, new RandomSource(1, 2), Now);
                stack.AddAddress(ParseAddress(Ours4));
                stack.AddAddress(ParseAddress(Ours6));
                _ = stack.Routes.Add(ParseAddress("198.18.0.0"), 16, default);
                _ = stack.Routes.Add(ParseAddress("2001:2::"), 64, default);
                Stack = stack;
                Echo = new EchoUser(stack);
                stack.Tcp.User = Echo;
                _ready.Set();
                while (!_stop)
                {
                    stack.Advance(Now);
                    uint work = link.Receive(stack);
                    lock (_work)
                    {
                        while (_work.TryDequeue(out Action? action))
                        {
                            action();
                            work++;
                        }
                    }

                    Echo.Run();
                    stack.Flush();
                    device.Flush();
                    if (work == 0)
                    {
                        _ = Libc.Yield();
                    }
                }
            }
            catch (Exception e)
            {
                _failure = e;
                _ready.Set();
            }
        });
        _thread.Start();
        _ready.Wait();
        Assert.True(_failure == null, _failure?.ToString());
    }

    /// <summary>Links need root.</summary>
    public static bool CanRun => Environment.IsPrivilegedProcess && File.Exists("/dev/net/tun");

    public NetworkStack Stack { get; private set; } = null!;

    public EchoUser Echo { get; private set; } = null!;

    private static long Now => Stopwatch.GetTimestamp() / 1000;

    public static Address ParseAddress(string text)
    {
        byte[] bytes = IPAddress.Parse(text).GetAddressBytes();
        return bytes.Length == 4 ? Address.V4(BitConverter.ToUInt32(bytes)) : new Address(BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8));
    }

    /// <summary>Does something in the stack's thread and waits for it.</summary>
    public void Inside(Action action)
    {
        using ManualResetEventSlim done = new();
        Exception? failure = null;
        lock (_work)
        {
            _work.Enqueue(() =>
            {
                try
                {
                    action();
                }
                catch (Exception e)
                {
                    failure = e;
                }

                done.Set();
            });
        }

        while (!done.Wait(100))
        {
            Assert.True(_failure == null, _failure?.ToString());
        }

        Assert.True(failure == null, failure?.ToString());
    }

    /// <summary>Does something with the kernel's sockets of the namespace, in a thread of its own.</summary>
    public void Outside(Action action)
    {
        _ = _namespace!.Run(() =>
        {
            action();
            return true;
        });
        Assert.True(_failure == null, _failure?.ToString());
    }

    /// <summary>Waits for what the stack's thread will bring about.</summary>
    public void Until(Func<bool> condition, string what, int seconds = 60)
    {
        DateTime end = DateTime.UtcNow.AddSeconds(seconds);
        bool done = false;
        while (!done)
        {
            Assert.True(DateTime.UtcNow < end, $"waited in vain for {what}");
            Inside(() => done = condition());
            _ = Libc.Yield();
        }
    }

    public void Dispose()
    {
        _stop = true;
        Assert.True(_thread.Join(TimeSpan.FromSeconds(30)), "the stack's thread does not end");
        _ready.Dispose();
    }

    private static Device Open(Link kind, uint mtu)
    {
        switch (kind)
        {
            case Link.Tap:
                return TapDevice.Open("nkt0", 0x0606_0606_0602, mtu);
            case Link.Packet:
                return PacketDevice.Open("nka");
            default:
                Ethtool.FinishFrames("nkb");
                return XdpDevice.Open("nka", shards: 1, native: kind == Link.Xdp)[0];
        }
    }

    private void MakeNamespace(bool tap, uint mtu)
    {
        _namespace = NetNamespace.Enter();
        if (File.Exists("/proc/sys/net/ipv6/conf/default/accept_dad"))
        {
            File.WriteAllText("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
        }

        NetNamespace.Ip("link set lo up");
        if (!tap)
        {
            NetNamespace.Ip($"link add nka mtu {mtu} type veth peer name nkb mtu {mtu}");
            NetNamespace.Ip("link set nka up");
            NetNamespace.Ip("link set nkb up");
            NetNamespace.Ip($"addr add {Kernel4}/16 dev nkb");
            NetNamespace.Ip($"addr add {Kernel6}/64 dev nkb nodad");
        }
    }
}
