using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// Hundreds of sockets of one guest that do not move (with NK_LONG=1 thousands), because their peers do not read or because the guest itself does not: the others of the guest go on, and
/// everything comes back.
/// </summary>
[Trait("Category", "Fault")]
public sealed class PoolTests : IDisposable
{
    private const string Count = "500", Many = "5000";

    private readonly NkInstance _nk = NkInstance.Up("pool");

    public PoolTests() => _nk.CreateGuest("a");

    public void Dispose() => _nk.Dispose();

    /// <summary>A mode, and how many sockets.</summary>
    public static TheoryData<string, string> Modes => Environment.GetEnvironmentVariable("NK_LONG") == "1"
        ? new() { { "send", Count }, { "receive", Count }, { "send", Many }, { "receive", Many } } : new() { { "send", Count }, { "receive", Count } };

    [Theory]
    [MemberData(nameof(Modes))]
    public void Sockets_that_do_not_move_hold_up_no_other(string mode, string count)
    {
        using GuestProcess peer = Peer();
        using GuestProcess client = Client(mode, count);
        CommandResult ours = client.Wait(TimeSpan.FromSeconds(300));
        Assert.True(ours.Succeeded, ours.ToString());
        string native = Programs.RunNatively(
            ["python3", Programs.Path("hoard.py"), "peer", "127.0.0.1", "0"],
            port => ["python3", Programs.Path("hoard.py"), mode, "127.0.0.1", port.ToString(CultureInfo.InvariantCulture), count],
            300);

        // Thousands go on for many minutes, 512 bytes at a time (ADR 8), until the kernels' buffers are full: what counts is that the others move.
        Assert.Equal(Others(native), Others(ours.Output));
        string Others(string told) => mode == "send" && count == Many ? told[told.IndexOf('\n', StringComparison.Ordinal)..] : told;
    }

    [Fact]
    public void A_killed_hoarder_leaves_nothing()
    {
        using GuestProcess peer = Peer();
        using GuestProcess client = Client("hold");
        Programs.AwaitLine(client, "held", 300);
        Assert.True(InUse.Of(_nk.EnginePid, "a").TxChunks > int.Parse(Count, CultureInfo.InvariantCulture), $"{InUse.Of(_nk.EnginePid, "a")}");
        client.Kill();
        AssertNothingIsLeft();
    }

    /// <summary>The kernel keeps what was sent for peers that do not read; the guest's pool does not.</summary>
    [Fact]
    public void Closed_sockets_give_their_chunks_back_though_nobody_reads()
    {
        using GuestProcess peer = Peer();
        using GuestProcess client = Client("close");
        Programs.AwaitLine(client, "closed", 300);
        Assert.True(
            NkInstance.WaitFor(() => InUse.Of(_nk.EnginePid, "a").TxChunks == 0, TimeSpan.FromSeconds(30)), $"still in use: {InUse.Of(_nk.EnginePid, "a")}");
        Assert.False(peer.Ended);
        client.Kill();
        AssertNothingIsLeft();
    }

    private GuestProcess Peer()
    {
        GuestProcess peer = _nk.Outside.Start("python3", Programs.Path("hoard.py"), "peer", "0.0.0.0", "7030");
        Programs.AwaitLine(peer, "ready");
        return peer;
    }

    private GuestProcess Client(string mode, string count = Count) => _nk.Start("a", "python3", Programs.Path("hoard.py"), mode, _nk.Outside.Ipv4, "7030", count);

    private void AssertNothingIsLeft()
    {
        InUse nothing = default;
        Assert.True(
            NkInstance.WaitFor(() => InUse.Of(_nk.EnginePid, "a") == nothing && _nk.TrafficOf("a").Open == 0, TimeSpan.FromSeconds(30)),
            $"still in use: {InUse.Of(_nk.EnginePid, "a")}, connections {_nk.TrafficOf("a").Open}");
    }
}
