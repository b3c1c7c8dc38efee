using System.Net;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>The stack in a thread of this process behind a fake CoreEngine, with two guests.</summary>
internal sealed class SharedMemNsm : IDisposable
{
    public const string Address1 = "198.18.0.11", Address2 = "198.18.0.12", SixOf1 = "2001:2::11", SixOf2 = "2001:2::12";

    private readonly Thread _thread;
    private StackHost? _host;
    private SharedMemStack? _stack;

    public SharedMemNsm(uint loops = 1, PoolLayout? pool = null, uint directAfter = 8)
    {
        Engine = new FakeEngine(loops);
        Reach.Set(1, 1, 0);
        Reach.Set(2, 1, 0);
        using ManualResetEventSlim started = new();
        _thread = new Thread(() =>
        {
            using NsmChannel channel = NsmChannel.Attach(Engine.RunDirectory, 63);
            _stack = new SharedMemStack(Reach, directAfter);
            _host = new StackHost(channel, _stack);
            started.Set();
            _ = _host.Run(new IdleStrategy(0, 20));
        });
        _thread.Start();
        Engine.TakeNsm();
        started.Wait();
        First = Engine.AddGuest(1, Address1, SixOf1, pool);
        Second = Engine.AddGuest(2, Address2, SixOf2, pool);
    }

    /// <summary>Who may reach whom: at first both each other.</summary>
    public Reach Reach { get; } = new(16);

    public FakeEngine Engine { get; }

    /// <summary>The guest that connects.</summary>
    public FakeGuest First { get; }

    /// <summary>The guest that listens.</summary>
    public FakeGuest Second { get; }

    /// <summary>The regions of the direct form.</summary>
    public DirectRegions Regions => _stack!.Regions;

    /// <summary>Connections that the NSM has.</summary>
    public uint Count => _host!.ConnectionCount;

    /// <summary>A listener of the second guest.</summary>
    public FakeSocket Listener(int port, int backlog = 128, int domain = Libc.AF_INET, NqeFlags flags = NqeFlags.Wildcard, uint queueSet = 0)
    {
        FakeSocket listener = Second.Socket(domain, queueSet: queueSet);
        Assert.Equal(0, listener.Bind(domain == Libc.AF_INET ? "0.0.0.0" : "::", port, flags));
        Assert.Equal(0, listener.Listen(backlog));
        return listener;
    }

    /// <summary>A connection of the first guest to the second, accepted.</summary>
    public (FakeSocket Client, FakeSocket Server) Pair(int port, uint clientSet = 0, uint serverSet = 0, NqeFlags flags = NqeFlags.None)
    {
        FakeSocket listener = Listener(port, queueSet: serverSet);
        FakeSocket client = First.Socket(queueSet: clientSet);
        Assert.Equal(0, client.Connect(Address2, port, flags));
        FakeSocket server = listener.Accept(out IPEndPoint _);
        listener.Close();
        return (client, server);
    }

    /// <summary>Everything is closed: no connection, every TX and RX chunk back, nothing said to nobody.</summary>
    public void AssertEmpty()
    {
        Engine.Until(() => Count == 0, "the last connection's end");
        Assert.Equal(First.Layout.Tx.Total, (uint)First.FreeTx);
        Assert.Equal(Second.Layout.Tx.Total, (uint)Second.FreeTx);
        foreach (Guest guest in new[] { _host!.FindGuest(1), _host.FindGuest(2) }.OfType<Guest>())
        {
            Assert.Equal(guest.Rx.TotalBytes, guest.Rx.FreeBytes);
        }

        Assert.Equal(0, Engine.Strays);
    }

    public void Dispose()
    {
        Engine.Die();
        _thread.Join();
        Engine.Dispose();
    }
}
