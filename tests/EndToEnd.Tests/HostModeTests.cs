using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>UDP in host mode: guests use the host's own stack and addresses by way of the kernel NSM.</summary>
public sealed class HostModeTests
{
    private const int CloneNewNet = 0x40000000;

    private const string Server =
        """
        import socket, sys
        s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((sys.argv[1], 0))
        print('port', s.getsockname()[1], flush=True)
        while True:
            data, peer = s.recvfrom(65536)
            s.sendto(data[::-1], peer)
        """;

    // A bound socket, so that the NSM carries it; connected later, to the same peer; and one to a port where nobody is.
    private const string Client =
        """
        import os, socket, sys
        family, any = (socket.AF_INET6, '::') if ':' in sys.argv[1] else (socket.AF_INET, '0.0.0.0')
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((any, 0))
        s.settimeout(20)
        there = (sys.argv[1], int(sys.argv[2]))
        for size in 0, 1, 1400, 9000, 65000:
            data = os.urandom(size)
            s.sendto(data, there)
            back, peer = s.recvfrom(65536)
            assert back == data[::-1] and peer[:2] == there, (size, peer)
        s.connect(there)
        s.send(b'connected')
        print(s.recv(100).decode(), s.getpeername()[1] == there[1])
        nobody = socket.socket(family, socket.SOCK_DGRAM)
        nobody.bind((any, 0))
        closed = socket.socket(family, socket.SOCK_DGRAM)
        closed.bind((any, 0))
        port = closed.getsockname()[1]
        closed.close()
        nobody.settimeout(20)
        nobody.connect((sys.argv[1], port))
        nobody.send(b'x')
        try:
            nobody.recv(1)
        except OSError as e:
            print(e.errno)
        """;

    private const string Ipv4 = "198.18.0.1", Ipv6 = "2001:2::1";

    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);

    [RootTheory]
    [InlineData("0.0.0.0", Ipv4)]
    [InlineData("::", Ipv6)]
    public void Guests_and_programs_of_the_host_exchange_datagrams(string any, string address) => OnAHost(nk =>
    {
        using GuestProcess server = nk.Start("a", "/usr/bin/python3", "-c", Server, any);
        Programs.AwaitLine(server, "port");
        string port = server.Output.Split()[1];
        ulong before = nk.TrafficOf("a").Bytes;
        CommandResult guest = nk.Run("b", Time, "/usr/bin/python3", "-c", Client, address, port);
        Assert.True(guest.Succeeded, guest.ToString());
        Assert.Equal("detcennoc True\n111\n", guest.Output); // ECONNREFUSED
        Assert.True(nk.TrafficOf("a").Bytes - before > 2 * 65000, "the datagrams did not go through NetKernel");

        using GuestProcess native = nk.StartRaw(["/usr/bin/python3", "-c", Client, address, port]);
        CommandResult outside = native.Wait(Time);
        Assert.True(outside.Succeeded, outside.ToString());
        Assert.Equal("detcennoc True\n111\n", outside.Output);
        Assert.False(server.Ended, server.Error);
    });

    [RootFact]
    public void Dnsmasq_answers_the_host_and_another_guest() => OnAHost(nk =>
    {
        using GuestProcess dns = nk.Start(
            "a", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--log-facility=-", "--port=5300",
            "--address=/near.test/198.18.8.8", "--address=/near.test/2001:2::8");
        Assert.True(NkInstance.WaitFor(() => dns.Error.Contains("started", StringComparison.Ordinal) || dns.Ended, Time), dns.Error);
        foreach (string server in new[] { "@" + Ipv4, "@" + Ipv6 })
        {
            string[] dig = ["dig", "+short", "+time=10", "+tries=2", "-p", "5300", server, "near.test", "A", "near.test", "AAAA"];
            using GuestProcess native = nk.StartRaw(dig);
            Assert.Equal("198.18.8.8\n2001:2::8\n", native.Wait(Time).Output);
            CommandResult guest = nk.Run("b", Time, dig);
            Assert.Equal("198.18.8.8\n2001:2::8\n", guest.Output);
        }

        Assert.True(nk.TrafficOf("a").Bytes > 0, "nothing went through NetKernel");
        Assert.False(dns.Ended, dns.Error);
    });

    /// <summary>An instance in host mode on a host of its own: a network namespace with addresses, in which a thread starts everything.</summary>
    private static void OnAHost(Action<NkInstance> test)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                Assert.Equal(0, Unshare(CloneNewNet));
                OutsideNamespace.Ip(
                    null, "link set lo up", "link add host0 type veth peer name host1", "link set host0 up", "link set host1 up", $"addr add {Ipv4}/16 dev host0", $"addr add {Ipv6}/64 dev host0 nodad");
                using NkInstance nk = NkInstance.Up("hostudp", "--mode", "host");
                nk.CreateGuest("a");
                nk.CreateGuest("b");
                test(nk);
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        if (failure != null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    [DllImport("libc", EntryPoint = "unshare")]
    private static extern int Unshare(int flags);
}
