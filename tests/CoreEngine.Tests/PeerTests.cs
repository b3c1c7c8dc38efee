using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>
/// Guests that talk to each other do not count as each other's busy neighbours: what one asks for because of the other is not held. The rate is one connection a second, as in
/// <see cref="PaceTests"/>. The one that asks is guest 1, the one that it asks for is 2, a third is 3.
/// </summary>
public sealed unsafe class PeerTests : IDisposable
{
    private const int Many = 800; // fits into a ring
    private const uint Asker = 0x0101_12C6, Other = 0x0201_12C6; // 198.18.1.1 and 198.18.1.2, as in_addr has them

    private readonly EngineHost _host = new(connectionRate: 1);
    private readonly FakeNsm _nsm;
    private readonly FakeGuest[] _guests;
    private readonly Stats _stats;

    public PeerTests()
    {
        _host.Control.AddNsm(1);
        _nsm = new FakeNsm(_host.EngineSocket, 1);
        for (uint guest = 1; guest <= 3; guest++)
        {
            AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, guest, 1, $"g{guest}");
            message.Address4 = guest switch { 1 => Asker, 2 => Other, _ => 0x0301_12C6 };
            Assert.Equal(0, _host.Control.Ask(message).Error);
        }

        _guests = [new FakeGuest(_host.GuestSocket(1)), new FakeGuest(_host.GuestSocket(2)), new FakeGuest(_host.GuestSocket(3))];
        _stats = _host.Stats();
    }

    public void Dispose()
    {
        _stats.Dispose();
        foreach (FakeGuest guest in _guests)
        {
            guest.Dispose();
        }

        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void What_concerns_the_only_busy_neighbour_that_has_accepted_is_not_held()
    {
        Talk();
        Ask(socket: 1);
        AllOf();
        Assert.Equal(0ul, _stats.Guest(1).Paced);
    }

    [Fact]
    public void Nor_is_what_concerns_one_that_has_connected()
    {
        _ = Make.Connected(_guests[1], _nsm, socket: 1, high: Make.Mapped(Asker), low: 0);
        _ = Make.Connected(_guests[0], _nsm, socket: 1, high: Make.Mapped(Other), low: 0);
        Ask(socket: 1);
        AllOf();
        Assert.Equal(0ul, _stats.Guest(1).Paced);
    }

    [Fact]
    public void Accepting_from_a_peer_is_not_held_either()
    {
        const int Connections = 200; // each takes eight units, and a burst has less than fifty
        uint listener = Make.Listening(_guests[1], _nsm, socket: 2, port: 80);
        _ = Make.Connected(_guests[0], _nsm, socket: 1, high: Make.Mapped(Other), low: 0);
        for (uint i = 0; i < Connections; i++)
        {
            Accept(listener, socket: 3 + i, handle: 1 + i);
        }

        Assert.Equal(0ul, _stats.Guest(2).Paced);
    }

    /// <summary>
    /// Sockets have no peer when they are made, and cost a token each: what is free leaves tokens for them. Of the 200 a second that come in, 50 sockets take a quarter of a second's; with
    /// connections of 129 tokens they would wait for half a minute, and be held a hundred thousand times.
    /// </summary>
    [Fact]
    public void What_is_free_leaves_tokens_for_sockets()
    {
        const uint Connections = 50;
        Talk();
        for (uint i = 0; i < Connections; i++)
        {
            _ = Make.Connected(_guests[0], _nsm, socket: 2 + i, high: Make.Mapped(Other), low: 0);
        }

        Assert.InRange(_stats.Guest(1).Paced, 0ul, 20_000ul);
    }

    [Fact]
    public void A_neighbour_that_has_never_heard_of_the_one_that_asks_counts()
    {
        // It is busy, and the other one connects to its address: that is what an attack would look like.
        _ = Make.Connected(_guests[1], _nsm, socket: 1);
        _ = Make.Connected(_guests[0], _nsm, socket: 1, high: Make.Mapped(Other), low: 0);
        Ask(socket: 1);
        Assert.Equal(1u, _host.Control.News(AttachOp.GuestHeld).Guest);
    }

    [Fact]
    public void What_concerns_somebody_else_is_held_beside_a_peer()
    {
        Talk();
        _ = Make.Connected(_guests[0], _nsm, socket: 2); // to somewhere outside
        Ask(socket: 2);
        Assert.Equal(1u, _host.Control.News(AttachOp.GuestHeld).Guest);
    }

    [Fact]
    public void What_concerns_a_peer_is_held_beside_a_third_guest_that_is_busy()
    {
        Talk();
        _ = Make.Connected(_guests[2], _nsm, socket: 1);
        Ask(socket: 1);
        Assert.Equal(1u, _host.Control.News(AttachOp.GuestHeld).Guest);
    }

    [Fact]
    public void A_guest_with_the_number_of_a_peer_that_has_gone_is_none()
    {
        Talk();
        _guests[0].Dispose();
        _host.Control.RemoveGuest(1);
        AttachMessage message = FakeControlPlane.Message(AttachOp.AddGuest, 1, 1, "g1");
        message.Address4 = Asker;
        Assert.Equal(0, _host.Control.Ask(message).Error);
        _guests[0] = new FakeGuest(_host.GuestSocket(1));
        _ = Make.Connected(_guests[0], _nsm, socket: 1, high: Make.Mapped(Other), low: 0);
        Ask(socket: 1);
        Assert.Equal(1u, _host.Control.News(AttachOp.GuestHeld).Guest);
    }

    /// <summary>The first guest is connected to the second on its socket 1, which that has accepted.</summary>
    private void Talk()
    {
        uint listener = Make.Listening(_guests[1], _nsm, socket: 2, port: 80);
        _ = Make.Connected(_guests[0], _nsm, socket: 1, high: Make.Mapped(Other), low: 0);
        Accept(listener, socket: 3, handle: 1);
    }

    private void Accept(uint listener, uint socket, uint handle)
    {
        _guests[1].Claim(socket, 0);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.NewConnection, listener, 0, Make.Mapped(Asker), size: handle, aux: 40000));
        Nqe news = _guests[1].Take(0, RingKind.Receive);
        Assert.Equal(Op.NewConnection, news.Op);
        _guests[1].Post(0, RingKind.Send, Make.Nqe(Op.Accept, socket, news.Size, 2));
        Assert.Equal(handle, _nsm.Expect(Op.Accept, RingKind.Send).OpData);
    }

    private void Ask(uint socket)
    {
        for (int i = 0; i < Many; i++)
        {
            _guests[0].Post(0, RingKind.Send, Make.Nqe(Op.Shutdown, socket));
        }
    }

    private void AllOf()
    {
        for (int i = 0; i < Many; i++)
        {
            _ = _nsm.Expect(Op.Shutdown, RingKind.Send);
        }
    }
}
