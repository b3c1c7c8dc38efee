using System.Net;
using System.Net.Sockets;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;
using Nsm1 = NetKernel.Nsm.Kernel.Tests.KernelNsm;

namespace NetKernel.Nsm.Kernel.Tests;

/// <summary>Bridge mode, in a network namespace of its own. Without root there is none to be had, and these tests pass unseen.</summary>
public sealed class BridgeTests
{
    [Fact]
    public void Two_guests_listen_on_the_same_port()
    {
        if (!Nsm1.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using FakeGuest other = nsm.Engine.AddGuest(2, Nsm1.Other4, Nsm1.Other6);
        FakeSocket[] listeners = [nsm.Guest.Socket(), other.Socket()];
        foreach (FakeSocket listener in listeners)
        {
            Assert.Equal(0, listener.Bind("0.0.0.0", 80, NqeFlags.Wildcard, out IPEndPoint bound));
            Assert.Equal(listener.Guest == other ? Nsm1.Other4 : Nsm1.Address4, bound.Address.ToString());
            Assert.Equal(0, listener.Listen());
        }

        foreach ((string address, FakeSocket listener) in new[] { (Nsm1.Address4, listeners[0]), (Nsm1.Other4, listeners[1]) })
        {
            using Socket client = nsm.Dial(address, 80);
            FakeSocket server = listener.Accept(out _);
            client.Send("for you"u8);
            Assert.Equal("for you"u8.ToArray(), server.Receive(7));
            server.Close();
        }
    }

    [Fact]
    public void Connecting_uses_the_guests_own_address()
    {
        if (!Nsm1.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using FakeGuest other = nsm.Engine.AddGuest(2, Nsm1.Other4, Nsm1.Other6);
        FakeSocket listener = nsm.Guest.Socket(Libc.AF_INET6);
        Assert.Equal(0, listener.Bind("::", 0, NqeFlags.Wildcard, out IPEndPoint bound));
        Assert.Equal(0, listener.Listen());
        foreach ((int domain, string to, string from) in new[]
        {
            (Libc.AF_INET, Nsm1.Address4, Nsm1.Other4), (Libc.AF_INET6, Nsm1.Address6, Nsm1.Other6), (Libc.AF_INET6, Nsm1.Address4, Nsm1.Other4),
        })
        {
            FakeSocket client = other.Socket(domain);
            Assert.Equal(0, client.Connect(to, bound.Port, NqeFlags.None, out IPEndPoint local));
            Assert.Equal(from, local.Address.ToString());
            FakeSocket server = listener.Accept(out IPEndPoint peer);
            Assert.Equal(local, peer);
            client.Send("x"u8);
            _ = server.Receive(1);
            client.Close();
            server.Close();
        }
    }

    [Fact]
    public void A_dual_stack_listener_has_one_port_for_both_families()
    {
        if (!Nsm1.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        for (int i = 0; i < 20; i++)
        {
            FakeSocket listener = nsm.Guest.Socket(Libc.AF_INET6);
            Assert.Equal(0, listener.SetOption(1, 9, 1)); // SO_KEEPALIVE: copied to the second half.
            Assert.Equal(0, listener.Bind("::", 0, NqeFlags.Wildcard, out IPEndPoint bound));
            Assert.Equal(Nsm1.Address6, bound.Address.ToString());
            Assert.Equal(0, listener.Listen());
            using Socket six = nsm.Dial(Nsm1.Address6, bound.Port);
            listener.Accept(out _).Close();
            using Socket four = nsm.Dial(Nsm1.Address4, bound.Port);
            FakeSocket server = listener.Accept(out IPEndPoint peer);
            Assert.Equal(four.LocalEndPoint, peer);
            Assert.Equal(0, server.GetOption(1, 9, 4, out byte[] keepAlive));
            Assert.Equal(1, BitConverter.ToInt32(keepAlive));
            server.Close();

            FakeSocket second = nsm.Guest.Socket();
            Assert.Equal(Libc.EADDRINUSE, second.Bind("0.0.0.0", bound.Port, NqeFlags.Wildcard));
            second.Close();
            listener.Close();
        }
    }

    [Fact]
    public void Addresses_of_others_are_not_available()
    {
        if (!Nsm1.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        Assert.Equal(Libc.EADDRNOTAVAIL, nsm.Guest.Socket().Bind(Nsm1.Other4, 80));
        Assert.Equal(Libc.EADDRNOTAVAIL, nsm.Guest.Socket().Bind("127.0.0.1", 80));
        Assert.Equal(Libc.EADDRNOTAVAIL, nsm.Guest.Socket(Libc.AF_INET6).Bind(Nsm1.Other6, 80));
        Assert.Equal(Libc.EADDRNOTAVAIL, nsm.Guest.Socket(Libc.AF_INET6).Bind(Nsm1.Address4, 80, NqeFlags.V6Only));
        Assert.Equal(Libc.ENETUNREACH, nsm.Guest.Socket().Connect("127.0.0.1", 80));
        Assert.Equal(Libc.ENETUNREACH, nsm.Guest.Socket(Libc.AF_INET6).Connect("::1", 80));
        Assert.Equal(Libc.ENETUNREACH, nsm.Guest.Socket(Libc.AF_INET6).Connect("::ffff:127.0.0.1", 80));
        using FakeGuest four = nsm.Engine.AddGuest(3, Nsm1.Other4);
        Assert.Equal(Libc.ENETUNREACH, four.Socket(Libc.AF_INET6).Connect(Nsm1.Address6, 80));
        FakeSocket mapped = four.Socket(Libc.AF_INET6);
        Assert.Equal(0, mapped.Bind("::", 0, NqeFlags.Wildcard, out IPEndPoint bound));
        Assert.Equal(Nsm1.Other4, bound.Address.ToString());
    }

    [Fact]
    public void A_bound_socket_connects_from_its_port()
    {
        if (!Nsm1.CanBridge)
        {
            return;
        }

        using KernelNsm nsm = new(bridge: true);
        using Socket outside = nsm.Outside(() =>
        {
            Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            socket.Bind(new IPEndPoint(IPAddress.Parse(Nsm1.Outside4), 0));
            socket.Listen();
            return socket;
        });
        int port = ((IPEndPoint)outside.LocalEndPoint!).Port;
        foreach (int domain in (int[])[Libc.AF_INET, Libc.AF_INET6])
        {
            FakeSocket client = nsm.Guest.Socket(domain);
            Assert.Equal(0, client.Bind(domain == Libc.AF_INET ? "0.0.0.0" : "::", 0, NqeFlags.Wildcard, out IPEndPoint bound));
            Assert.Equal(0, client.Connect(Nsm1.Outside4, port, NqeFlags.Bound, out IPEndPoint local));
            Assert.Equal((Nsm1.Address4, bound.Port), (local.Address.ToString(), local.Port));
            using Socket peer = outside.Accept();
            client.Send("x"u8);
            Assert.Equal(1, peer.Receive(new byte[1]));
            client.Close();
        }
    }
}
