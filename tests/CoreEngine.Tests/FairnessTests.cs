using NetKernel.Channel;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>What guests get of an NSM that all of them ask for more than it does: counted in requests, not in time.</summary>
public sealed unsafe class FairnessTests : IDisposable
{
    private const int Each = 800; // fits into a ring
    private const int Waiting = 2 * (128 + 24); // units of one guest, in an NSM's rings: twice half a window, and what each may be overdrawn by

    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _flood;
    private readonly FakeGuest _good;
    private readonly uint _floodId;
    private readonly uint _goodId;

    public FairnessTests()
    {
        (_host, _nsm, _flood) = EngineHost.WithGuest();
        _host.Control.AddGuest(2, 1);
        _good = new FakeGuest(_host.GuestSocket(2));
        _floodId = Make.Connected(_flood, _nsm, socket: 1);
        _goodId = Make.Connected(_good, _nsm, socket: 1);
    }

    public void Dispose()
    {
        _flood.Dispose();
        _good.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Theory]
    [InlineData(Op.Shutdown, 2)]
    [InlineData(Op.Close, 12)]
    public void A_guest_that_floods_fills_no_ring_of_an_NSM(Op op, int cost)
    {
        uint[] sockets = op == Op.Close ? Sockets(40) : [1];
        using Stats stats = _host.Stats();
        ulong before = stats.Guest(1).NqesFromGuest;
        Flood(op, sockets, queueSets: 4);
        NetKernel.Testing.Waiting.Until(() => stats.Guest(1).NqesFromGuest > before, "something of the flood in the NSM's ring");
        ulong theirs = stats.Row(_goodId).Nqes;
        Send(_good);
        NetKernel.Testing.Waiting.Until(() => stats.Row(_goodId).Nqes > theirs, "the good guest's request in the NSM's ring, though nobody has taken anything from there");
        int ahead = 0;
        while (_nsm.Take(RingKind.Send) is { } e && e.Socket != _goodId)
        {
            ahead++;
        }

        Assert.InRange(ahead, 1, Waiting / cost);
    }

    [Fact]
    public void Guests_get_equal_shares_whatever_number_of_queue_sets_they_use()
    {
        Flood(Op.Shutdown, [1], queueSets: 8);
        for (int i = 0; i < Each; i++)
        {
            _good.Post(0, RingKind.Send, Make.Nqe(Op.Shutdown, 1));
        }

        int[] seen = new int[2];
        int behind = 0;
        while (seen[1] < Each)
        {
            Nqe e = _nsm.Expect(Op.Shutdown, RingKind.Send);
            seen[e.Socket == _goodId ? 1 : 0]++;
            behind = Math.Max(behind, seen[0] - seen[1]);
        }

        // The good one begins later: what the other had waiting before is its lead, and stays so.
        Assert.True(behind <= 4 * Waiting, $"the good guest was {behind} of {Each} requests behind");
    }

    [Fact]
    public void A_guest_alone_may_fill_the_ring()
    {
        _host.Control.RemoveGuest(2);
        Flood(Op.Shutdown, [1], queueSets: 2);
        using Stats stats = _host.Stats();
        NetKernel.Testing.Waiting.Until(() => stats.Nsm(1).NqesToNsm >= 2 * Each, "all requests in the NSM's ring");
        for (int i = 0; i < 2 * Each; i++)
        {
            Assert.Equal(_floodId, _nsm.Expect(Op.Shutdown, RingKind.Send).Socket);
        }
    }

    [Fact]
    public void What_waits_for_the_window_goes_on_when_the_NSM_has_worked()
    {
        Flood(Op.Shutdown, [1], queueSets: 2);
        for (int i = 0; i < 2 * Each; i++)
        {
            Assert.Equal(_floodId, _nsm.Expect(Op.Shutdown, RingKind.Send).Socket);
        }
    }

    /// <summary>Fills the send rings of that many queue sets.</summary>
    private void Flood(Op op, uint[] sockets, uint queueSets)
    {
        for (uint q = 0; q < queueSets; q++)
        {
            for (int i = 0; i < (op == Op.Close ? sockets.Length / (int)queueSets : Each); i++)
            {
                _flood.Post(q, RingKind.Send, Make.Nqe(op, sockets[op == Op.Close ? (q * sockets.Length / queueSets) + i : 0]));
            }
        }
    }

    private uint[] Sockets(uint count)
    {
        uint[] sockets = [.. Enumerable.Range(10, (int)count).Select(i => (uint)i)];
        Array.ForEach(sockets, socket => _ = Make.Connected(_flood, _nsm, socket));
        return sockets;
    }

    private static void Send(FakeGuest guest) => guest.Post(0, RingKind.Send, Make.Nqe(Op.Shutdown, 1));
}
