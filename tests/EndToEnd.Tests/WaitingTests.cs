using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/waiting.py and programs/blocking.c: epoll, poll, select and blocking calls, under signals, cancellation and other threads. The kernel is the
/// oracle: the same program outside, over its own loopback, must print the same.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed class WaitingTests(InstanceFixture fixture)
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(150);

    private NkInstance Nk => fixture.Nk;

    [Theory]
    [InlineData(7030, false)]
    [InlineData(7031, true)]
    public void Waits_on_many_fds_are_the_kernels(int port, bool ipv6) =>
        Check(port, ipv6, address => ["python3", Programs.Path("waiting.py"), address, $"{port}"]);

    [Fact]
    public void Blocking_calls_are_interrupted_cancelled_and_woken_as_the_kernels()
    {
        string program = Compile("blocking.c");
        Check(7032, false, address => [program, address, "7032"]);
    }

    private string Compile(string source)
    {
        string program = Path.Combine(Nk.Folder, Path.GetFileNameWithoutExtension(source));
        using GuestProcess gcc = Nk.Outside.Start("gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", program, Programs.Path(source));
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        Assert.True(built.Succeeded, built.ToString());
        return program;
    }

    private void Check(int port, bool ipv6, Func<string, string[]> client)
    {
        string[] puppet = ["python3", Programs.Path("puppet.py"), ipv6 ? "::" : "0.0.0.0", $"{port}"];
        using GuestProcess outside = Nk.Outside.Start(puppet);
        using GuestProcess inside = Nk.Start("b", puppet);
        Programs.AwaitLine(outside, "ready");
        Programs.AwaitLine(inside, "ready");
        CommandResult native = Nk.Outside.Run(Time, client(ipv6 ? "::1" : "127.0.0.1"));
        Assert.True(native.Succeeded, native.ToString());
        CommandResult ours = Nk.Run("a", Time, client(ipv6 ? Nk.Ipv6("b") : Nk.Ipv4("b")));
        Assert.Equal(native.Output, ours.Output);
        Assert.True(ours.Succeeded, ours.ToString());
    }
}
