using System.Diagnostics;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Stacks of ours on interfaces of a network namespace of their own, all turned by one thread.</summary>
internal sealed unsafe class TwoStacks : IDisposable
{
    private readonly List<(Device Device, NetworkStack Stack, EchoUser User)> _all = [];

    private TwoStacks()
    {
    }

    private static long Now => Stopwatch.GetTimestamp() / 1000;

    /// <summary>Does something in a thread in a new network namespace, with a veth nka - nkb.</summary>
    public static void Run(Action<TwoStacks> action) => NetNamespace.InThread(() =>
    {
        _ = NetNamespace.Enter(ipv6: false); // The kernel has nothing to say here.
        NetNamespace.Ip("link add nka type veth peer name nkb");
        NetNamespace.Ip("link set nka up");
        NetNamespace.Ip("link set nkb up");
        using TwoStacks stacks = new();
        action(stacks);
    });

    /// <summary>Adds a stack; it is freed with the others.</summary>
    public (NetworkStack Stack, EchoUser User) Add(Device device, string address4, string address6, ushort vlan = 0, byte priority = 0)
    {
        StackOptions options = new() { MaxConnections = 256, MaxTimeWait = 256, MaxSegments = 1 << 14, Vlan = vlan, VlanPriority = priority };
        NetworkStack stack = new(options, device, new RandomSource(1, (ulong)_all.Count), Now);
        stack.AddAddress(KernelPeer.ParseAddress(address4));
        stack.AddAddress(KernelPeer.ParseAddress(address6));
        _ = stack.Routes.Add(KernelPeer.ParseAddress("198.18.0.0"), 16, default);
        _ = stack.Routes.Add(KernelPeer.ParseAddress("2001:2::"), 64, default);
        EchoUser user = new(stack);
        stack.Tcp.User = user;
        _all.Add((device, stack, user));
        return (stack, user);
    }

    /// <summary>Turns all stacks until the condition holds.</summary>
    public void Until(Func<bool> done, string what)
    {
        long end = Now + 60_000_000;
        while (!done())
        {
            Assert.True(Now < end, $"waited in vain for {what}");
            uint work = 0;
            foreach ((Device device, NetworkStack stack, EchoUser user) in _all)
            {
                stack.Advance(Now);
                work += device.Receive(stack);
                user.Run();
                stack.Flush();
                device.Flush();
            }

            if (work == 0)
            {
                _ = Libc.Yield();
            }
        }
    }

    public void Dispose()
    {
        foreach ((Device device, NetworkStack stack, EchoUser _) in _all)
        {
            stack.Dispose();
            device.Dispose();
        }
    }
}
