using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>Four machines on one subnet: server, peer and client, which are what is compared, and outside, which has an ordinary stack in both worlds.</summary>
internal interface INet
{
    /// <summary>Starts a program on a machine; its output goes to files.</summary>
    GuestProcess Start(string machine, IEnumerable<string> command);

    /// <summary>The network namespace of a machine.</summary>
    string NamespaceOf(string machine);

    /// <summary>Whether a machine listens on a TCP port.</summary>
    bool Listens(string machine, int port);
}

/// <summary>Names and addresses of the machines, the same in both worlds.</summary>
internal static class Machines
{
    public const string Server = "server", Peer = "peer", Client = "client", Outside = "outside";

    /// <summary>Those that are guests in NetKernel's world.</summary>
    public static string[] Guests => [Server, Peer, Client];

    public static string[] All => [Server, Peer, Client, Outside];

    public static string Ipv4(string machine) => machine switch
    {
        Server => "198.18.1.1",
        Peer => "198.18.1.2",
        Client => "198.18.1.3",
        _ => "198.18.0.250",
    };

    public static string Ipv6(string machine) => machine switch
    {
        Server => "2001:2::1:1",
        Peer => "2001:2::1:2",
        Client => "2001:2::1:3",
        _ => "2001:2::fa",
    };
}
