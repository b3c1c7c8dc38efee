using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/badinput.c: every call with bad pointers, lengths, fds, addresses, and in every state. The kernel is the oracle: the same program on the machine
/// outside, against the same peer, must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class BadInputTests(InstanceFixture fixture)
{
    private const string Port = "7301";

    public static TheoryData<string> Groups => ["pointers_data", "pointers_control", "lengths", "descriptors", "families", "states", "more_states"];

    [Theory]
    [MemberData(nameof(Groups))]
    public void Answers_are_the_kernels(string group)
    {
        NkInstance nk = fixture.Nk;
        string program = Programs.Compile(nk, "badinput.c");
        using GuestProcess peer = nk.Outside.Start("python3", Programs.Path("peer.py"), "0.0.0.0", Port);
        Programs.AwaitLine(peer, "ready");
        CommandResult native = nk.Outside.Run(TimeSpan.FromSeconds(60), program, nk.Outside.Ipv4, Port, group);
        CommandResult guest = nk.Run("a", TimeSpan.FromSeconds(60), program, nk.Outside.Ipv4, Port, group);
        Assert.True(native.Succeeded, native.ToString());
        Assert.True(guest.Succeeded, guest.ToString());
        Assert.Equal(native.Output.Split('\n'), guest.Output.Split('\n'));
    }
}
