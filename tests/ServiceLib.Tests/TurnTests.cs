using NetKernel.Channel;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.ServiceLib.Tests;

/// <summary>Whose connections run first. The loop is turned by the test once the connections are there, so that all requests lie in the rings before anything is done.</summary>
public sealed class TurnTests : IDisposable
{
    private readonly FakeEngine _engine = new() { Patience = TimeSpan.FromSeconds(20) };
    private readonly EchoStack _stack = new();
    private readonly Thread _thread;
    private StackHost? _host;
    private NsmChannel? _channel;
    private volatile bool _paused;

    public TurnTests()
    {
        _thread = new Thread(() =>
        {
            _channel = NsmChannel.Attach(_engine.RunDirectory, 7);
            _host = new StackHost(_channel, _stack);
            while (!_paused)
            {
                _ = _host.Turn(poll: true);
            }
        });
        _thread.Start();
        _engine.TakeNsm();
    }

    public void Dispose()
    {
        Pause();
        _host?.End();
        _channel?.Dispose();
        _engine.Dispose();
    }

    [Fact]
    public void A_guest_with_many_busy_connections_gets_no_more_turns_than_one_with_one()
    {
        using FakeGuest greedy = _engine.AddGuest(1), modest = _engine.AddGuest(2), other = _engine.AddGuest(3);
        FakeSocket[] many = [.. Enumerable.Range(0, 30).Select(_ => Connected(greedy))];
        FakeSocket one = Connected(modest);
        FakeSocket[] two = [Connected(other), Connected(other)];
        Pause();
        Array.ForEach(many, socket => socket.Send(new byte[100]));
        one.Send(new byte[100]);
        Array.ForEach(two, socket => socket.Send(new byte[100]));
        _stack.Order = [];
        _ = _host!.Turn(poll: false);
        Assert.Equal([1, 2, 3, 1, 3, 1, 1], _stack.Order.Take(7));
        Assert.Equal(33, _stack.Order.Count);
    }

    [Fact]
    public void A_guest_that_goes_leaves_the_line()
    {
        using FakeGuest goes = _engine.AddGuest(1), stays = _engine.AddGuest(2);
        FakeSocket[] many = [.. Enumerable.Range(0, 300).Select(_ => Connected(goes))];
        FakeSocket one = Connected(stays);
        Pause();
        Array.ForEach(many, socket => socket.Send(new byte[100]));
        _ = _host!.Turn(poll: false);
        var removal = new Thread(() => _engine.RemoveGuest(goes));
        removal.Start();
        while (removal.IsAlive)
        {
            _ = _host.Turn(poll: true);
        }

        _stack.Order = [];
        one.Send(new byte[100]);
        _ = _host.Turn(poll: false);
        Assert.Equal([2], _stack.Order);
    }

    private static FakeSocket Connected(FakeGuest guest)
    {
        FakeSocket socket = guest.Socket();
        Assert.Equal(0, socket.Connect("198.18.0.5", 80));
        return socket;
    }

    private void Pause()
    {
        _paused = true;
        _thread.Join();
    }
}
