using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

/// <summary>A guest's congestion control on its way to the NSMs that serve it, and their answers on the way back.</summary>
public sealed class CongestionTests : IDisposable
{
    private readonly EngineHost _host;
    private readonly FakeNsm _nsm;
    private readonly FakeGuest _guest;

    public CongestionTests() => (_host, _nsm, _guest) = EngineHost.WithGuest();

    public void Dispose()
    {
        _guest.Dispose();
        _nsm.Dispose();
        _host.Dispose();
    }

    [Fact]
    public void An_NSM_is_told_and_what_it_lacks_is_told_before_the_answer()
    {
        string asked = "";
        _nsm.Changing = name =>
        {
            asked = name;
            return $"there is no {name}";
        };
        _ = _host.Control.News(AttachOp.CongestionTold); // of the guest's coming
        Assert.Equal(0, _host.Control.Ask(Message("dctcp")).Error);
        Assert.Equal("dctcp", asked);
        Assert.True(_host.Control.HasNews);
        AttachMessage told = _host.Control.News(AttachOp.CongestionTold);
        Assert.Equal((1u, 1u, "there is no dctcp"), (told.Guest, told.Nsm, FakeControlPlane.TextOf(told)));
        _nsm.Changing = null;
        Assert.Equal(0, _host.Control.Ask(Message("")).Error);
        Assert.Equal("", FakeControlPlane.TextOf(_host.Control.News(AttachOp.CongestionTold)));
    }

    [Fact]
    public void An_NSM_that_comes_later_gets_it_with_the_guest()
    {
        Assert.Equal(0, _host.Control.Ask(Message("bbr")).Error);
        _host.Control.AddNsm(2);
        using FakeNsm other = new(_host.EngineSocket, 2);
        Assert.Equal(0, _host.Control.Ask(FakeControlPlane.Message(AttachOp.UseNsm, 1, 2)).Error);
        Assert.Equal("bbr", other.LastCongestion);
    }

    [Fact]
    public async Task An_NSM_that_dies_before_it_answers_holds_nobody_up()
    {
        using ManualResetEventSlim asked = new(), over = new();
        _nsm.Changing = _ =>
        {
            asked.Set();
            over.Wait();
            return "";
        };
        Task<AttachMessage> answer = Task.Run(() => _host.Control.Ask(Message("reno")));
        asked.Wait();
        Assert.False(answer.IsCompleted);
        _nsm.Hang();
        Assert.Equal(0, (await answer).Error);
        over.Set();
    }

    [Fact]
    public void A_guest_that_is_not_there_has_none() => Assert.Equal(Libc.ENOENT, _host.Control.Ask(Message("reno", guest: 77)).Error);

    private static unsafe AttachMessage Message(string name, uint guest = 1)
    {
        AttachMessage message = FakeControlPlane.Message(AttachOp.SetCongestion, guest);
        SeqPacket.Put(new Span<byte>(message.Congestion, AttachMessage.CongestionBytes), name);
        return message;
    }
}
