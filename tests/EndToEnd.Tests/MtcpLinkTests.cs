using System.Globalization;
using System.Text.Json;
using NetKernel.Cli.Testbed;
using NetKernel.Testing;

namespace NetKernel.EndToEnd.Tests;

/// <summary>NSMs of kind mtcp on the links that nkd makes for them: programs, a killed NSM, what is left behind, captures, moves, VLANs.</summary>
public sealed class MtcpLinkTests : IDisposable
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);
    private readonly NkInstance _nk = NkInstance.Up("mtlink", "--shared-memory", "off", "--loops", "2");

    public void Dispose() => _nk.Dispose();

    /// <summary>iperf3 both ways and a page from nginx, of which every byte is checked, with a machine outside; then the same after the NSM was killed.</summary>
    [RootTheory]
    [InlineData("packet", 1)]
    [InlineData("tap", 1)]
    [InlineData("tap", 2)]
    [InlineData("xdp", 1)]
    [InlineData("xdp", 2)]
    public void Programs_work_before_and_after_the_NSM_is_killed(string link, int cores)
    {
        Create("m0", "--link", link, "--cores", cores.ToString(CultureInfo.InvariantCulture));
        _nk.CreateGuest("a", "m0");
        using GuestProcess nginx = StartNginx();
        using GuestProcess iperf = _nk.Start("a", "iperf3", "-s");
        Assert.True(_nk.WaitForListener("a", 5201, Time), iperf.Error);
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer");
        foreach (string[] way in new string[][] { [], ["-R"], ["-u", "-b", "20M"] })
        {
            CommandResult ran = _nk.Outside.Run(Time, ["iperf3", "-c", _nk.Ipv4("a"), "-t", "1", "-J", .. way]);
            Assert.True(ran.Succeeded, ran.ToString());
        }

        string six = $"http://[{_nk.Ipv6("a")}]:8081/";
        CommandResult overSix = _nk.Outside.Run(Time, "curl", "-sS", "--fail", "-o", Path.Combine(_nk.Folder, "six"), six);
        Assert.True(overSix.Succeeded, overSix.ToString());
        Assert.Equal(File.ReadAllBytes(Page), File.ReadAllBytes(Path.Combine(_nk.Folder, "six")));

        Assert.Equal(0, GuestProcess.SendSignal(_nk.NsmPid("m0"), 9));
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer after the NSM's restart");
        Assert.False(nginx.Ended);
    }

    /// <summary>nkd sleeps, so that nobody starts the NSM again: its XDP program has gone with it, and its TAP has no carrier.</summary>
    [RootTheory]
    [InlineData("xdp")]
    [InlineData("tap")]
    public void A_killed_NSM_leaves_nothing_of_its_own(string link)
    {
        Create("m0", "--link", link);
        string space = link == "xdp" ? $"{_nk.Name}-nsm-m0" : $"{_nk.Name}-br", device = link == "xdp" ? "eth0" : "nsm2";
        Assert.True(link == "xdp" ? Link(space, device).TryGetProperty("xdp", out _) : HasCarrier(space, device), "the link is not in use");
        int nkd = _nk.ControlPlanePid, pid = _nk.NsmPid("m0");
        Assert.Equal(0, GuestProcess.SendSignal(nkd, 19));
        try
        {
            Assert.Equal(0, GuestProcess.SendSignal(pid, 9));
            Assert.True(
                NkInstance.WaitFor(() => link == "xdp" ? !Link(space, device).TryGetProperty("xdp", out _) : !HasCarrier(space, device), Time), "the link is still in use");
        }
        finally
        {
            Assert.Equal(0, GuestProcess.SendSignal(nkd, 18));
        }

        Assert.True(NkInstance.WaitFor(() => _nk.NsmReady("m0"), Time), "the NSM does not come back");
        CommandResult gone = _nk.Nk("nsm", "delete", "m0");
        Assert.True(gone.Succeeded, gone.ToString());
        Assert.DoesNotContain("nsm2", Ip($"{_nk.Name}-br", "link"), StringComparison.Ordinal);
    }

    [RootTheory]
    [InlineData("xdp")]
    [InlineData("tap")]
    public void Captures_have_the_frames_of_a_guest_and_guests_move(string link)
    {
        Create("m0", "--link", link);
        _nk.CreateGuest("a", "m0");
        using GuestProcess nginx = StartNginx();
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer");
        string file = Path.Combine(_nk.Folder, link + ".pcap");
        using (GuestProcess capture = _nk.StartNk("capture", "--guest", "a", "--count", "20", "-w", file))
        {
            Assert.True(NkInstance.WaitFor(() => capture.Error.Contains("capturing", StringComparison.Ordinal), Time), capture.Error);
            Assert.True(Fetches());
            Assert.True(capture.Wait(Time).Succeeded, capture.Error); // by its count: what a signal ends may lack the last tenth of a second
        }

        _ = Assert.Single(Tshark.Packets(file, "tcp.flags.syn == 1 && tcp.flags.ack == 0 && tcp.dstport == 8081"));
        _ = Assert.Single(Tshark.Packets(file, "tcp.flags.syn == 1 && tcp.flags.ack == 1 && tcp.srcport == 8081"));

        CommandResult replaced = _nk.Nk("nsm", "replace", "m0", "--with", "kernel0", "--timeout", "10s");
        Assert.True(replaced.Succeeded, replaced.ToString());
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer at the other NSM");
        CommandResult back = _nk.Nk("nsm", "undrain", "m0");
        Assert.True(back.Succeeded, back.ToString());
        CommandResult again = _nk.Nk("nsm", "replace", "kernel0", "--with", "m0", "--timeout", "10s");
        Assert.True(again.Succeeded, again.ToString());
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer back at the first NSM");
    }

    /// <summary>A guest reaches those of its VLAN, at another NSM and by another link, and nobody else; the tag is on the wire.</summary>
    [RootFact]
    public void NSMs_of_one_VLAN_reach_each_other_and_nobody_else()
    {
        Create("m0", "--vlan", "5");
        Create("m1", "--vlan", "5", "--link", "tap");
        Create("m2", "--vlan", "5", "--link", "xdp");
        Create("m3");
        string[] names = ["a", "b", "c", "d"];
        foreach ((string name, int i) in names.Select((name, i) => (name, i)))
        {
            _nk.CreateGuest(name, $"m{i}");
        }

        using GuestProcess server = _nk.Start("a", "python3", "-c", "import socket\ns = socket.create_server(('0.0.0.0', 7013))\nwhile True:\n c, _ = s.accept()\n c.sendall(b'five')\n c.close()");
        Assert.True(_nk.WaitForListener("a", 7013, Time), server.Error);
        const string Dial = "import socket, sys\ns = socket.create_connection((sys.argv[1], 7013), timeout=float(sys.argv[2]))\nprint(s.recv(4).decode())";
        foreach (string name in (string[])["b", "c"])
        {
            CommandResult ran = _nk.Run(name, Time, "python3", "-c", Dial, _nk.Ipv4("a"), "30");
            Assert.True(ran.Output.Trim() == "five", ran.ToString());
        }

        const string Watch = """
            import socket, struct, sys
            s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            s.setsockopt(263, 8, 1)
            s.bind(('eth0', 3))
            s.settimeout(30)
            print('ready', flush=True)
            while True:
                data, control, _, _ = s.recvmsg(2048, 64)
                if data[12:14] == b'\x08\x06' and data[38:42] == socket.inet_aton(sys.argv[1]):
                    for level, kind, value in control:
                        if (level, kind) == (263, 8):
                            status, _, _, _, _, tci, _ = struct.unpack('IIIHHHH', value)
                            print('tag', tci & 0xfff if status & 16 else 0, flush=True)
                            sys.exit()
            """;
        using GuestProcess watch = _nk.Outside.Start("python3", "-c", Watch, _nk.Outside.Ipv4);
        Programs.AwaitLine(watch, "ready");
        CommandResult outside = _nk.Run("a", Time, "python3", "-c", Dial, _nk.Outside.Ipv4, "1");
        Assert.False(outside.Succeeded);
        Programs.AwaitLine(watch, "tag 5");
        CommandResult other = _nk.Run("d", Time, "python3", "-c", Dial, _nk.Ipv4("a"), "1");
        Assert.False(other.Succeeded);

        CommandResult refused = _nk.Nk("nsm", "update", "m3", "--vlan", "5");
        Assert.Contains("--restart", refused.Error, StringComparison.Ordinal);
        CommandResult changed = _nk.Nk("nsm", "update", "m3", "--vlan", "5", "--restart");
        Assert.True(changed.Succeeded, changed.ToString());
        CommandResult joined = _nk.Run("d", Time, "python3", "-c", Dial, _nk.Ipv4("a"), "30");
        Assert.True(joined.Output.Trim() == "five", joined.ToString());
    }

    /// <summary>The number of queues follows that of cores.</summary>
    [RootFact]
    public void An_NSM_with_AF_XDP_gets_another_number_of_cores()
    {
        Create("m0", "--link", "xdp", "--cores", "2");
        _nk.CreateGuest("a", "m0");
        using GuestProcess nginx = StartNginx();
        Assert.True(NkInstance.WaitFor(Fetches, Time), "nginx does not answer");
        foreach (string cores in (string[])["1", "2"])
        {
            CommandResult changed = _nk.Nk("nsm", "update", "m0", "--cores", cores, "--restart");
            Assert.True(changed.Succeeded, changed.ToString());
            Assert.True(NkInstance.WaitFor(Fetches, Time), $"nginx does not answer with {cores} cores");
        }
    }

    [RootFact]
    public void A_declared_file_has_links_and_VLANs()
    {
        string file = Path.Combine(_nk.Folder, "state.yaml");
        File.WriteAllText(file, "nsms:\n- name: m0\n  kind: mtcp\n  link: tap\n  vlan: 9\n");
        CommandResult applied = _nk.Nk("apply", "-f", file);
        Assert.True(applied.Succeeded, applied.ToString());
        JsonElement nsm = _nk.List("nsm", "list").EnumerateArray().Single(one => one.GetProperty("name").GetString() == "m0");
        Assert.Equal(("tap", 9), (nsm.GetProperty("link").GetString(), nsm.GetProperty("vlan").GetInt32()));
        File.WriteAllText(file, "nsms:\n- name: m0\n  kind: mtcp\n  link: xdp\n");
        CommandResult refused = _nk.Nk("apply", "-f", file);
        Assert.Contains("NSM m0 has a tap link", refused.Error, StringComparison.Ordinal);
    }

    private string Page => Path.Combine(_nk.Folder, "html", "index.html");

    private void Create(string name, params string[] options)
    {
        CommandResult created = _nk.Nk(["nsm", "create", name, "--kind", "mtcp", .. options]);
        Assert.True(created.Succeeded, created.ToString());
    }

    private bool Fetches()
    {
        string got = Path.Combine(_nk.Folder, "got");
        CommandResult ran = _nk.Outside.Run(Time, "curl", "-sS", "--fail", "--max-time", "30", "-o", got, $"http://{_nk.Ipv4("a")}:8081/");
        return ran.Succeeded && File.ReadAllBytes(got).AsSpan().SequenceEqual(File.ReadAllBytes(Page));
    }

    private GuestProcess StartNginx()
    {
        _ = Directory.CreateDirectory(Path.GetDirectoryName(Page)!);
        byte[] page = new byte[3_000_000];
        Random.Shared.NextBytes(page);
        File.WriteAllBytes(Page, page);
        string conf = Path.Combine(_nk.Folder, "nginx.conf");
        File.WriteAllText(conf, $$"""
            daemon off;
            master_process off;
            user root;
            pid {{_nk.Folder}}/nginx.pid;
            error_log stderr;
            events { }
            http { access_log off; server { listen 8081; listen [::]:8081; root {{_nk.Folder}}/html; } }
            """);
        return _nk.Start("a", "nginx", "-e", "stderr", "-c", conf);
    }

    private static bool HasCarrier(string space, string device) =>
        !Link(space, device).GetProperty("flags").EnumerateArray().Any(flag => flag.GetString() == "NO-CARRIER");

    private static JsonElement Link(string space, string device)
    {
        using JsonDocument answer = JsonDocument.Parse(Ip(space, "-j", "link", "show", "dev", device));
        return answer.RootElement[0].Clone();
    }

    private static string Ip(string space, params string[] words)
    {
        using System.Diagnostics.Process ip = System.Diagnostics.Process.Start(
            new System.Diagnostics.ProcessStartInfo("ip", ["-n", space, .. words]) { RedirectStandardOutput = true })!;
        string output = ip.StandardOutput.ReadToEnd();
        ip.WaitForExit();
        return output;
    }
}
