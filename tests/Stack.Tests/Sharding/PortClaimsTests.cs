namespace NetKernel.Stack.Tests.Sharding;

/// <summary>Who may bind what, when the sockets are in different shards: as on Linux, and as within one stack.</summary>
public sealed unsafe class PortClaimsTests
{
    [Fact]
    public void A_port_belongs_to_one_shard()
    {
        using Fabric fabric = new(2);
        Address address = fabric.Shards[0].Address4;
        Sock first = fabric.Shards[0].Open(port: 80);
        Sock second = fabric.Shards[1].Open();
        Assert.Equal(Errno.AddressInUse, second.Bind(address, 80));
        Assert.Equal(0, second.Bind(fabric.Shards[0].Address6, 80)); // another address
        first.Close();
        Sock third = fabric.Shards[1].Open();
        Assert.Equal(0, third.Bind(address, 80));
        Sock fourth = fabric.Shards[0].Open();
        Assert.Equal(Errno.AddressInUse, fourth.Bind(address, 80));
    }

    [Fact]
    public void SO_REUSEPORT_lets_all_of_them_listen_and_one_without_it_none()
    {
        using Fabric fabric = new(3);
        Address address = fabric.Shards[0].Address4;
        Sock a = fabric.Shards[0].Listen(80, reusePort: true);
        _ = fabric.Shards[1].Listen(80, reusePort: true);
        Assert.Equal(Errno.AddressInUse, fabric.Shards[2].Open().Bind(address, 80));
        Assert.Equal(Errno.AddressInUse, fabric.Shards[2].Open().Bind(address, 80, reuseAddress: true));
        a.Close();
        Assert.Equal(Errno.AddressInUse, fabric.Shards[2].Open().Bind(address, 80)); // The other one is still there.
        Assert.Equal(0, fabric.Shards[2].Open().Bind(address, 80, reusePort: true));
    }

    [Fact]
    public void SO_REUSEADDR_lets_them_bind_and_one_of_them_listen()
    {
        using Fabric fabric = new(2);
        Address address = fabric.Shards[0].Address4;
        Sock a = fabric.Shards[0].Open(), b = fabric.Shards[1].Open();
        Assert.Equal(0, a.Bind(address, 80, reuseAddress: true));
        Assert.Equal(0, b.Bind(address, 80, reuseAddress: true));
        Assert.Equal(0, a.Listen());
        Assert.Equal(Errno.AddressInUse, b.Listen());
        Assert.Equal(Errno.AddressInUse, fabric.Shards[1].Open().Bind(address, 80, reuseAddress: true));
        a.Close();
        Assert.Equal(0, b.Listen());
    }

    [Fact]
    public void Any_port_is_one_that_no_shard_has()
    {
        using Fabric fabric = new(2);
        Address address = fabric.Shards[0].Address4;
        HashSet<ushort> ports = [];
        for (int i = 0; i < 100; i++)
        {
            Sock sock = fabric.Shards[i % 2].Open(); // Random sources of one seed: both would take the same.
            Assert.Equal(0, sock.Bind(address, 0));
            Assert.True(ports.Add(sock.Tcb->LocalPort));
        }
    }

    [Fact]
    public void Datagram_ports_are_shared_the_same_way_and_are_others()
    {
        using Fabric fabric = new(2);
        Address address = fabric.Shards[0].Address4;
        _ = fabric.Shards[0].Open(port: 53);
        Assert.Equal(Errno.AddressInUse, BindDatagram(fabric.Shards[1], 53, false, first: fabric.Shards[0]));
        Assert.Equal(0, BindDatagram(fabric.Shards[1], 54, true, first: fabric.Shards[0]));

        int BindDatagram(Node node, ushort port, bool reusePort, Node first)
        {
            UdpSocket* a = first.Stack.Udp.Open((void*)1, first.Budget), b = node.Stack.Udp.Open((void*)1, node.Budget);
            Assert.Equal(0, first.Stack.Udp.Bind(a, address, port, false, reusePort));
            int error = node.Stack.Udp.Bind(b, address, port, false, reusePort);
            first.Stack.Udp.Close(a);
            node.Stack.Udp.Close(b);
            UdpSocket* c = node.Stack.Udp.Open((void*)1, node.Budget);
            Assert.Equal(0, node.Stack.Udp.Bind(c, address, port, false, false)); // Both have given it back.
            node.Stack.Udp.Close(c);
            return error;
        }
    }
}
