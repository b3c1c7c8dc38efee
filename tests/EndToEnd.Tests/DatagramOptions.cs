using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>programs/datagram_options.py on the machine outside, natively, and in guest a.</summary>
internal static class DatagramOptions
{
    public static (string[] Native, string[] Guest) Run(NkInstance nk)
    {
        // To the machine outside and from it, so that the way has an MTU.
        string[] program = ["python3", Programs.Path("datagram_options.py")];
        CommandResult guest = nk.Run("a", TimeSpan.FromSeconds(60), [.. program, nk.Outside.Ipv4, "7120", nk.Outside.Ipv6]);
        CommandResult native = nk.Outside.Run(TimeSpan.FromSeconds(60), [.. program, nk.Ipv4("a"), "7120", nk.Ipv6("a")]);
        Assert.True(guest.Succeeded, guest.ToString());
        Assert.True(native.Succeeded, native.ToString());
        return (native.Output.Split('\n'), guest.Output.Split('\n'));
    }

    /// <summary>What a fresh socket has, of the options that a line may be about.</summary>
    public static string Default(string line) => line.Split(' ', ':')[2] switch
    {
        "IP_MULTICAST_TTL" or "IP_MULTICAST_LOOP" or "IPV6_MULTICAST_HOPS" => "1",
        _ => "0",
    };
}
