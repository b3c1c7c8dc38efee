using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>An NSM in host mode in an instance with a bridge: its guests use the host's network, the others do not.</summary>
public sealed class NetworkModeTests : IDisposable
{
    private const string Serve = """
        import socket
        s = socket.create_server(('0.0.0.0', 0))
        print('port', s.getsockname()[1], flush=True)
        while True:
            c, _ = s.accept()
            c.sendall(b'from the guest')
            c.close()
        """;

    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);
    private readonly NkInstance _nk = NkInstance.Up("netmode");

    public void Dispose() => _nk.Dispose();

    [RootFact]
    public void A_guest_listens_on_the_host_and_the_others_stay_on_the_bridge()
    {
        CommandResult created = _nk.Nk("nsm", "create", "host0", "--network-mode", "host");
        Assert.True(created.Succeeded, created.ToString());
        JsonElement nsm = _nk.List("nsm", "list").EnumerateArray().Single(one => one.GetProperty("name").GetString() == "host0");
        Assert.Equal("host", nsm.GetProperty("networkMode").GetString());
        Assert.Equal(File.ReadAllText("/proc/self/net/dev").Split('\n').Length, File.ReadAllText($"/proc/{_nk.NsmPid("host0")}/net/dev").Split('\n').Length);

        _nk.CreateGuest("h", "host0");
        _nk.CreateGuest("i", "host0");
        _nk.CreateGuest("b");
        JsonElement[] guests = [.. _nk.List("guest", "list").EnumerateArray()];
        Assert.Equal(["b"], [.. guests.Where(guest => guest.TryGetProperty("ipv4", out JsonElement four) && four.GetString()!.Length > 0).Select(guest => guest.GetProperty("name").GetString()!)]);

        string host = HostAddress();
        using GuestProcess server = _nk.Start("h", "python3", "-c", Serve);
        int port = Port(server);
        using (var client = new TcpClient())
        {
            client.Connect(IPAddress.Parse(host), port);
            using var reader = new StreamReader(client.GetStream());
            Assert.Equal("from the guest", reader.ReadToEnd());
        }

        string dial = $"import socket\ns = socket.create_connection(('{host}', {port.ToString(CultureInfo.InvariantCulture)}), timeout=10)\nprint(s.makefile().read())";
        CommandResult other = _nk.Run("i", Time, "python3", "-c", dial);
        Assert.Equal("from the guest", other.Output.Trim());
        CommandResult bridge = _nk.Run("b", Time, "python3", "-c", dial);
        Assert.False(bridge.Succeeded, bridge.ToString());

        using GuestProcess second = _nk.Start("b", "python3", "-c", Serve);
        string inside = $"import socket\ns = socket.create_connection(('{_nk.Ipv4("b")}', {Port(second).ToString(CultureInfo.InvariantCulture)}), timeout=10)\nprint(s.makefile().read())";
        Assert.Equal("from the guest", _nk.Outside.Run(Time, "python3", "-c", inside).Output.Trim());

        // Killed, it comes back with its guests; nkd's restart takes both kinds over.
        Assert.Equal(0, GuestProcess.SendSignal(_nk.NsmPid("host0"), 9));
        Assert.True(NkInstance.WaitFor(() => _nk.Run("i", Time, "python3", "-c", dial).Output.Trim() == "from the guest", Time), "the guest's listener is not back");
        int nkd = _nk.ControlPlanePid;
        Assert.Equal(0, GuestProcess.SendSignal(nkd, 9));
        Assert.True(NkInstance.WaitFor(() => !Directory.Exists($"/proc/{nkd}"), Time), "nkd does not end");
        _nk.StartControlPlane();
        Assert.Equal("from the guest", _nk.Run("i", Time, "python3", "-c", dial).Output.Trim());
    }

    [RootFact]
    public void What_has_no_addresses_does_not_move()
    {
        Assert.True(_nk.Nk("nsm", "create", "host0", "--network-mode", "host").Succeeded);
        _nk.CreateGuest("h", "host0");
        _nk.CreateGuest("b", "kernel0");
        foreach (string[] words in new string[][]
        {
            ["guest", "update", "h", "--nsm", "kernel0"], ["guest", "update", "b", "--nsm", "host0"], ["nsm", "drain", "host0"], ["capture", "--guest", "h", "-w", Path.Combine(_nk.Folder, "x.pcap")],
        })
        {
            CommandResult refused = _nk.Nk(words);
            Assert.False(refused.Succeeded, refused.ToString());
            Assert.Contains(words[0] == "capture" ? "no network interface of its own" : "in host mode", refused.Error, StringComparison.Ordinal);
        }

        CommandResult policy = _nk.Nk("policy", "create", "web", "--port", "80", "--nsm", "host0");
        Assert.True(policy.Succeeded, policy.ToString());
        JsonElement guest = _nk.List("guest", "list").EnumerateArray().Single(one => one.GetProperty("name").GetString() == "b");
        Assert.Contains("NSM host0 of policy web is left out", guest.GetProperty("problem").GetString(), StringComparison.Ordinal);
        Assert.True(_nk.Nk("policy", "delete", "web").Succeeded);
        Assert.True(_nk.Nk("guest", "delete", "h").Succeeded);
        CommandResult gone = _nk.Nk("nsm", "delete", "host0");
        Assert.True(gone.Succeeded, gone.ToString());
    }

    private static int Port(GuestProcess server)
    {
        Assert.True(NkInstance.WaitFor(() => server.Output.Contains('\n', StringComparison.Ordinal), Time), server.Error);
        return int.Parse(server.Output.Split(' ', '\n')[1], CultureInfo.InvariantCulture);
    }

    /// <summary>An address of this machine that is not loopback's, which guests in host mode cannot reach.</summary>
    private static string HostAddress()
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        probe.Connect(IPAddress.Parse("198.18.255.1"), 9); // sends nothing
        return ((IPEndPoint)probe.LocalEndPoint!).Address.ToString();
    }
}
