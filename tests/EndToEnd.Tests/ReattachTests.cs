using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>A thread that is in a call while CoreEngine dies, and gets on only when another thread has attached the process to the next CoreEngine: its socket is one of the former.</summary>
[Trait("Category", "Fault")]
public sealed class ReattachTests
{
    [Theory]
    [InlineData("recv", "copy", "ECONNRESET")]
    [InlineData("recv", "direct", "ECONNRESET")]
    [InlineData("data", "copy", "ECONNRESET")]
    [InlineData("data", "direct", "ECONNRESET")]
    [InlineData("accept", "copy", "accepted")]
    public void A_call_that_slept_through_the_death_and_the_return_of_CoreEngine_ends_and_takes_nothing_out_of_other_memory(string call, string form, string expected)
    {
        using NkInstance nk = NkInstance.Up("reattach", [("NETKERNEL_DIRECT_AFTER", "0")]);
        Assert.True(nk.Nk("tenant", "update", "default", "--shared-memory", form).Succeeded);
        nk.CreateGuest("a");
        nk.CreateGuest("b");
        using GuestProcess echo = DirectForm.Echo(nk, "b", "7061");
        string killed = Path.Combine(nk.Folder, "killed");
        using GuestProcess held = nk.Start("a", Programs.Compile(nk, "reattach.c"), call, nk.Ipv4("b"), "7061", killed);
        Programs.AwaitLine(held, "held");
        Assert.Equal(0, GuestProcess.SendSignal(nk.EnginePid, 9));
        File.WriteAllText(killed, "");
        Programs.AwaitLine(held, "again", 60);
        if (call == "accept")
        {
            string[] knock = ["python3", "-c", string.Create(CultureInfo.InvariantCulture, $"import socket\nsocket.create_connection(('{nk.Ipv4("a")}',7062))")];
            Assert.True(NkInstance.WaitFor(() => held.Ended || nk.Run("b", TimeSpan.FromSeconds(20), knock).Succeeded, TimeSpan.FromSeconds(30)));
        }

        Assert.Equal($"held\nagain\n{expected}\n", held.Wait(TimeSpan.FromSeconds(30)).Output);
    }
}
