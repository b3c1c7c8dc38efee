using NetKernel.Cli.Testbed;
using NetKernel.Testing;

namespace NetKernel.EndToEnd.Tests;

/// <summary>nk capture: the packets of a guest, at an NSM of either kind, in a file that tshark finds no fault with.</summary>
public sealed class CaptureTests : IDisposable
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(60);
    private readonly NkInstance _nk;

    public CaptureTests()
    {
        _nk = NkInstance.Up("capture", "--shared-memory", "off");
        Assert.True(_nk.Nk("nsm", "create", "m0", "--kind", "mtcp").Succeeded);
        _nk.CreateGuest("user", "m0");
        _nk.CreateGuest("kernel", "kernel0");
        _nk.CreateGuest("other", "kernel0");
    }

    [RootFact]
    public void Both_kinds_of_nsm_show_the_same_connection()
    {
        const int Bytes = 3_000_000, Port = 7110;
        string content = Path.Combine(_nk.Folder, "content");
        Directory.CreateDirectory(content);
        byte[] data = new byte[Bytes];
        new Random(1).NextBytes(data);
        File.WriteAllBytes(Path.Combine(content, "data"), data);
        using GuestProcess server = _nk.Start("kernel", "python3", "-m", "http.server", "--directory", content, "--bind", "::", $"{Port}");
        using GuestProcess noise = _nk.Start("other", "python3", "-m", "http.server", "--directory", content, "--bind", "0.0.0.0", $"{Port}");
        Assert.True(_nk.WaitForListener("kernel", Port, Time) && _nk.WaitForListener("other", Port, Time));

        string user = Path.Combine(_nk.Folder, "user.pcap"), kernel = Path.Combine(_nk.Folder, "kernel.pcap");
        using GuestProcess atUser = Capture("user", "-w", user), atKernel = Capture("kernel", "--port", $"{Port}", "-w", kernel);
        foreach (string url in new[] { $"http://{_nk.Ipv4("kernel")}:{Port}/data", $"http://[{_nk.Ipv6("kernel")}]:{Port}/data", $"http://{_nk.Ipv4("other")}:{Port}/data" })
        {
            CommandResult got = _nk.Run("user", Time, "curl", "-sS", "-o", "/dev/null", "-w", "%{size_download}", url);
            Assert.Equal($"{Bytes}", got.Output);
        }

        End(atUser);
        End(atKernel);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(user));
        foreach (string file in new[] { user, kernel })
        {
            Assert.Empty(Tshark.Errors(file));
            foreach (string family in new[] { $"ip.addr == {_nk.Ipv4("kernel")}", $"ipv6.addr == {_nk.Ipv6("kernel")}" })
            {
                Assert.Equal(2, Tshark.Packets(file, $"tcp.flags.syn == 1 && {family}").Length);
                Assert.InRange(Tshark.Packets(file, $"tcp.srcport == {Port} && tcp.len > 0 && {family}").Length, Bytes / 1500, Bytes / 500);

                // As cut for the wire, not as the offloads carry it.
                Assert.Empty(Tshark.Packets(file, $"frame.len > 1514 && {family}"));
            }
        }

        // Of another guest at the same NSM nothing is in it; of the first one everything.
        Assert.Empty(Tshark.Packets(kernel, $"ip.addr == {_nk.Ipv4("other")}"));
        Assert.NotEmpty(Tshark.Packets(user, $"ip.addr == {_nk.Ipv4("other")}"));
        Assert.Empty(Tshark.Packets(kernel, $"tcp && tcp.port != {Port}"));
    }

    [RootFact]
    public void It_ends_at_its_limits_and_says_what_cannot_be()
    {
        string file = Path.Combine(_nk.Folder, "few.pcap");
        using GuestProcess capture = Capture("kernel", "--count", "3", "-w", file);
        using GuestProcess server = _nk.Start("kernel", "python3", "-m", "http.server", "--bind", "0.0.0.0", "7111");
        Assert.True(_nk.WaitForListener("kernel", 7111, Time));

        // Two guests of one kernel talk over its lo: seen once each.
        Assert.True(_nk.Run("other", Time, "curl", "-sS", "-o", "/dev/null", $"http://{_nk.Ipv4("kernel")}:7111/").Succeeded);
        CommandResult result = capture.Wait(Time);
        Assert.True(result.Succeeded, result.ToString());
        Assert.Equal(["SYN", "SYN, ACK", "ACK"], Tshark.Packets(file, "tcp").Select(line => line.Split('[', ']')[1]));

        Assert.Contains("CaptureService/Capture", _nk.Nk("audit").Output);
        CommandResult timed = _nk.Nk("capture", "--guest", "kernel", "--duration", "1", "-w", file);
        Assert.True(timed.Succeeded, timed.ToString());
        Assert.Empty(Tshark.Packets(file, "tcp"));
        Assert.Contains("shared memory", timed.Error);

        foreach ((string complaint, string[] words) in new[]
        {
            ("there is no guest nobody", new[] { "--guest", "nobody", "-w", file }),
            ("3600 seconds at most", ["--guest", "kernel", "--duration", "3601", "-w", file]),
            ("cannot be written", ["--guest", "kernel", "-w", Path.Combine(_nk.Folder, "nowhere", "x.pcap")]),
        })
        {
            CommandResult refused = _nk.Nk(["capture", .. words]);
            Assert.False(refused.Succeeded);
            Assert.Contains(complaint, refused.Error);
        }
    }

    public void Dispose() => _nk.Dispose();

    private GuestProcess Capture(string guest, params string[] words)
    {
        GuestProcess capture = _nk.StartNk(["capture", "--guest", guest, .. words]);
        Assert.True(NkInstance.WaitFor(() => capture.Error.Contains("capturing", StringComparison.Ordinal) || capture.Ended, Time), "capture does not begin");
        Assert.False(capture.Ended, capture.Error);
        return capture;
    }

    private static void End(GuestProcess capture)
    {
        capture.Signal(2);
        CommandResult result = capture.Wait(Time);
        Assert.True(result.Succeeded, result.ToString());
        Assert.DoesNotContain("missing", result.Error);
    }
}
