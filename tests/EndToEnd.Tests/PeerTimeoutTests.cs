using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/timeouts.py: what TCP_USER_TIMEOUT and keep-alive do to connections of a process that is stopped, and a connect to a full backlog; the kernel is the oracle.</summary>
public sealed class PeerTimeoutTests
{
    [Theory]
    [InlineData("copy")]
    [InlineData("direct")]
    [InlineData("off")]
    public void A_peer_that_does_nothing_times_out_as_the_kernel_has_it(string form)
    {
        string folder = Directory.CreateTempSubdirectory("nk-native").FullName;
        try
        {
            int number = 0;
            (string Client, string Server) native = Run("127.0.0.1", 0, command => GuestProcess.Start(folder, ++number, command), command => GuestProcess.Start(folder, ++number, command));
            using NkInstance nk = NkInstance.Up("timeouts", [("NETKERNEL_DIRECT_AFTER", "0")]);
            Assert.True(nk.Nk("tenant", "update", "default", "--shared-memory", form).Succeeded);
            nk.CreateGuest("a");
            nk.CreateGuest("b");
            (string Client, string Server) ours = Run(nk.Ipv4("b"), 7071, command => nk.Start("b", command), command => nk.Start("a", command), () =>
                Assert.Equal(form switch { "copy" => "sharedmem", "direct" => "sharedmem/direct", _ => "kernel0" }, DirectForm.Connections(nk, "a", "7071").Distinct().Single()));
            // The kernel NSM accepts for its guests: with it a backlog is full later.
            Assert.Equal(form == "off" ? Streams(native) : native, form == "off" ? Streams(ours) : ours);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static (string, string) Streams((string Client, string Server) told) => (told.Client[told.Client.IndexOf("up\n", StringComparison.Ordinal)..], told.Server);

    private static (string Client, string Server) Run(string address, int port, Func<string[], GuestProcess> serve, Func<string[], GuestProcess> call, Action? check = null)
    {
        using GuestProcess server = serve(["python3", Programs.Path("timeouts.py"), "server", address, $"{port}"]);
        Programs.AwaitLine(server, "ready");
        using GuestProcess client = call(["python3", Programs.Path("timeouts.py"), "client", address, server.Output.Split()[1]]);
        Programs.AwaitLine(client, "up");
        check?.Invoke();
        server.Signal(19); // SIGSTOP
        client.Signal(10); // SIGUSR1
        Programs.AwaitLine(client, "data that is not taken", 60);
        Programs.AwaitLine(client, "silent", 60);
        server.Signal(18); // SIGCONT
        CommandResult told = client.Wait(TimeSpan.FromSeconds(30));
        Assert.True(told.Succeeded, told.ToString());
        string ended = server.Wait(TimeSpan.FromSeconds(30)).Output;
        return (told.Output, ended[(ended.IndexOf('\n', StringComparison.Ordinal) + 1)..]);
    }
}
