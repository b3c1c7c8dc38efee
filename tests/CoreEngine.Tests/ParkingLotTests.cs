using NetKernel.Channel;

namespace NetKernel.CoreEngine.Tests;

/// <summary>Where elements wait for a guest that does not look: in order, merged where a later one makes an earlier one void.</summary>
public sealed unsafe class ParkingLotTests : IDisposable
{
    private const uint Sockets = 64;

    private readonly ParkingLot _lot = new(Sockets);
    private ParkedList _list;

    public void Dispose() => _lot.Dispose();

    [Fact]
    public void Elements_come_out_in_the_order_in_which_they_came()
    {
        Park((Op.Data, 1), (Op.Reset, 2), (Op.Data, 2), (Op.Renewed, 1));
        Assert.Equal([(Op.Data, 1), (Op.Reset, 2), (Op.Data, 2), (Op.Renewed, 1)], Out());
    }

    [Fact]
    public void A_loss_makes_the_notices_before_it_void_and_stands_behind_what_came_between()
    {
        Park((Op.Reset, 1), (Op.Renewed, 1), (Op.Data, 1), (Op.Reset, 1));
        Assert.Equal([(Op.Data, 1), (Op.Reset, 1)], Out());
    }

    [Fact]
    public void A_renewal_leaves_the_loss_before_it()
    {
        Park((Op.Reset, 1), (Op.Renewed, 1), (Op.Renewed, 1));
        Assert.Equal([(Op.Reset, 1), (Op.Renewed, 1)], Out());
    }

    [Fact]
    public void Other_sockets_notices_stay()
    {
        Park((Op.Reset, 1), (Op.Reset, 2), (Op.Renewed, 2), (Op.Renewed, 1), (Op.Reset, 1));
        Assert.Equal([(Op.Reset, 2), (Op.Renewed, 2), (Op.Reset, 1)], Out());
    }

    [Fact]
    public void What_has_gone_out_is_not_withdrawn()
    {
        Park((Op.Reset, 1), (Op.Data, 2));
        _lot.RemoveFirst(ref _list);
        Park((Op.Data, 3), (Op.Reset, 1)); // its node is another's now
        Assert.Equal([(Op.Data, 2), (Op.Data, 3), (Op.Reset, 1)], Out());
    }

    [Fact]
    public void Of_a_socket_that_has_come_from_another_queue_set_the_notices_there_stay()
    {
        Park((Op.Reset, 1));
        ParkedList other = default;
        Nqe later = new() { Op = Op.Reset, Socket = 1, QueueSet = 1 };
        Assert.True(_lot.TryParkNotice(ref other, &later));
        Assert.Equal([(Op.Reset, 1)], Out());
        Assert.Equal(1u, other.Count);
    }

    [Fact]
    public void Any_one_can_be_taken_away()
    {
        (Op, uint)[] all = [(Op.Data, 1), (Op.Reset, 2), (Op.Data, 3), (Op.Renewed, 4)];
        for (int gone = 0; gone < all.Length; gone++)
        {
            Park(all);
            uint node = 0;
            for (int i = 0; i <= gone; i++)
            {
                node = _lot.After(_list, node);
            }

            _lot.Remove(ref _list, node);
            Assert.Equal(all.Where((_, i) => i != gone), Out());
        }
    }

    [Fact]
    public void However_often_every_socket_is_lost_and_renewed_two_of_each_wait()
    {
        const uint Times = 2 * ParkingLot.Capacity / (2 * Sockets);
        for (uint time = 0; time < Times; time++)
        {
            for (uint socket = 0; socket < Sockets; socket++)
            {
                Park((Op.Reset, socket), (Op.Renewed, socket));
            }
        }

        Assert.Equal((2 * Sockets, 2 * Sockets), (_lot.Count, _list.Count));
        (Op, uint)[] all = Out();
        Assert.Equal(Enumerable.Range(0, (int)Sockets).SelectMany(socket => new[] { (Op.Reset, (uint)socket), (Op.Renewed, (uint)socket) }), all);
    }

    private void Park(params (Op Op, uint Socket)[] elements)
    {
        foreach ((Op op, uint socket) in elements)
        {
            Nqe e = new() { Op = op, Socket = socket };
            Assert.True(ParkingLot.IsNotice(&e) ? _lot.TryParkNotice(ref _list, &e) : _lot.TryPark(ref _list, &e));
        }
    }

    private (Op Op, uint Socket)[] Out()
    {
        List<(Op, uint)> all = [];
        while (_list.Count != 0)
        {
            Nqe* first = _lot.First(_list);
            all.Add((first->Op, first->Socket));
            _lot.RemoveFirst(ref _list);
        }

        Assert.Equal((0u, 0u), (_list.Head, _list.Tail));
        return [.. all];
    }
}
