using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>What is counted per guest and NSM, from which usage and shares of processor time are made.</summary>
public sealed unsafe class ShareTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public ShareTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void A_guests_share_of_an_nsm_is_what_it_exchanged_with_it()
    {
        using Stats stats = _host.Stats();
        uint id = Make.Connected(_guest, _nsm, socket: 7);
        NsmShare before = stats.Share(1, 1);
        Assert.Equal(1ul, before.Connects);
        _guest.Post(0, RingKind.Send, Make.Nqe(Op.Send, 7, dataPtr: PoolLayout.TxOffset, size: 100));
        _ = _nsm.Expect(Op.Send, RingKind.Send);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 100));
        _ = _guest.Take(0, RingKind.Completion);
        _nsm.Post(RingKind.Receive, Make.Nqe(Op.Data, id, dataPtr: _guest.PoolLayout.RxOffset, size: 64));
        _ = _guest.Take(0, RingKind.Receive);
        NsmShare now = stats.Share(1, 1);
        Assert.Equal((100ul, 64ul), (now.BytesSent - before.BytesSent, now.BytesReceived - before.BytesReceived));
        Assert.Equal((1ul, 2ul), (now.NqesToNsm - before.NqesToNsm, now.NqesFromNsm - before.NqesFromNsm));
        GuestCounters guest = stats.Guest(1);
        Assert.Equal((guest.BytesSent, guest.BytesReceived, guest.Connects), (now.BytesSent, now.BytesReceived, now.Connects));
        Assert.NotEqual(0ul, guest.Since);
        Assert.NotEqual(0u, stats.Header->LoopThreads[0]);
    }

    [Fact]
    public void A_connect_that_fails_is_counted()
    {
        using Stats stats = _host.Stats();
        _guest.Claim(9, 0);
        _guest.Post(0, RingKind.Job, Make.Socket(9));
        Nqe made = _nsm.Expect(Op.Socket, RingKind.Job);
        _guest.Post(0, RingKind.Job, Make.Nqe(Op.Connect, 9, 1, 2, aux: 80));
        _ = _nsm.Expect(Op.Connect, RingKind.Job);
        _nsm.Post(RingKind.Completion, Make.Nqe(Op.ConnectDone, made.Socket, size: Libc.ECONNREFUSED));
        Assert.Equal((uint)Libc.ECONNREFUSED, _guest.Take(0, RingKind.Completion).Size);
        Assert.Equal((1ul, 0ul), (stats.Guest(1).ConnectsFailed, stats.Guest(1).Connects));
        Assert.Equal((1ul, 0ul), (stats.Share(1, 1).ConnectsFailed, stats.Share(1, 1).Connects));
    }
}
