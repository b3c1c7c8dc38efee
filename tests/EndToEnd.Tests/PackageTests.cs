using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using NetKernel.Api;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// The Debian package, installed into a copy of this machine that is thrown away, used, removed and purged (packaging/try-deb), its unit under a real systemd (packaging/try-systemd), and
/// without either what the unit's command tells systemd.
/// </summary>
[Trait("Category", "Package")]
public sealed class PackageTests : IDisposable
{
    private static readonly string Root = ApplyTests.Repository();
    private readonly string _folder = Directory.CreateTempSubdirectory("nk-package-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_units_command_tells_systemd_of_its_start_its_life_and_its_end_and_a_hangup_changes_nothing()
    {
        string unit = File.ReadAllText(Path.Combine(Root, "packaging", "netkernel.service"));
        string[] command = unit.Split('\n').Single(line => line.StartsWith("ExecStart=", StringComparison.Ordinal))["ExecStart=".Length..].Split(' ');
        Assert.Equal("/usr/sbin/nkd", command[0]);
        string runDirectory = Path.Combine(_folder, "run"), notify = Path.Combine(_folder, "notify");
        string[] flags = [.. command[1..].Select(word => word.Replace("/run/netkernel", runDirectory).Replace("/var/lib/netkernel", Path.Combine(_folder, "state")))];
        using var systemd = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 30_000 };
        systemd.Bind(new UnixDomainSocketEndPoint(notify));
        var start = new ProcessStartInfo(Places.Find("nkd")!, [.. flags, "--instance", $"unit-{Environment.ProcessId}", "--mode", "private"]);
        start.Environment["NOTIFY_SOCKET"] = notify;
        start.Environment["WATCHDOG_USEC"] = "1000000";
        start.Environment["NETKERNEL_LISTEN"] = "";
        using Process nkd = Process.Start(start)!;
        try
        {
            Assert.Equal("READY=1", Next(systemd));
            Assert.Equal("WATCHDOG=1", Next(systemd));
            _ = GuestProcess.SendSignal(nkd.Id, 1);
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal("WATCHDOG=1", Next(systemd));
            }

            Assert.False(nkd.HasExited);
            _ = GuestProcess.SendSignal(nkd.Id, 15);
            string heard = Next(systemd);
            for (int i = 0; i < 20 && heard == "WATCHDOG=1"; i++)
            {
                heard = Next(systemd);
            }

            Assert.Equal("STOPPING=1", heard);
            Assert.True(nkd.WaitForExit(20_000));
            Assert.Equal(0, nkd.ExitCode);
        }
        finally
        {
            if (!nkd.HasExited)
            {
                nkd.Kill();
            }

            _ = NetKernel.Cli.Commands.UpDown.Stop(runDirectory); // the data plane outlives nkd
        }
    }

    [LongTheory]
    [InlineData("try-deb")]
    [InlineData("try-systemd")]
    public void The_package_comes_works_and_goes_cleanly(string script)
    {
        string package = Output("build-deb").Trim().Split('\n')[^1];
        string told = Output(script, package);
        Assert.Contains("purged: nothing is left", told);
    }

    private static string Output(string script, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Path.Combine(Root, "packaging", script), arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, output);
        return output;
    }

    private static string Next(Socket socket)
    {
        byte[] buffer = new byte[100];
        return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
    }
}
