using System.Text.Json;
using NetKernel.Api;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>nk run: the program is the process, and sees what it would see without NetKernel.</summary>
[Collection(PlatformFixture.Name)]
public sealed class RunTests(PlatformFixture platform)
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(10);

    private NkInstance Instance => platform.Instance;

    [RootTheory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 42", 42)]
    [InlineData("kill -TERM $$", 143)]
    [InlineData("kill -KILL $$", 137)]
    public void The_exit_code_is_the_programs(string script, int code) => Assert.Equal(code, Instance.Run("run", Time, "sh", "-c", script).ExitCode);

    [RootFact]
    public void Signals_are_as_a_shell_hands_them_over()
    {
        CommandResult result = Instance.Run("run", Time, "grep", "^Sig[BI]", "/proc/self/status");
        Assert.Equal("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", result.Output);
    }

    [RootFact]
    public void No_file_of_the_launcher_stays_open()
    {
        CommandResult result = Instance.Run("run", Time, "sh", "-c", "for f in /proc/$$/fd/*; do readlink $f; done; true");
        Assert.True(result.Succeeded, result.ToString());
        Assert.DoesNotContain("socket:", result.Output);
        Assert.DoesNotContain("anon_inode:", result.Output);
        Assert.DoesNotContain("/run/netns", result.Output);
        Assert.DoesNotContain(".dll", result.Output);
    }

    [RootFact]
    public void The_limit_on_files_is_what_it_was()
    {
        using GuestProcess plain = Instance.Outside.Start("sh", "-c", "ulimit -Sn");
        string expected = plain.Wait(Time).Output;
        Assert.Equal(expected, Instance.Run("run", Time, "sh", "-c", "ulimit -Sn").Output);
    }

    [RootFact]
    public void Arguments_and_environment_arrive_as_given()
    {
        CommandResult result = Instance.Run("run", Time, "env", "A=b c", "python3", "-c", "import os, sys; print(sys.argv[1:], os.environ['A'])", "--x", "", "ü -- y");
        Assert.Equal("['--x', '', 'ü -- y'] b c\n", result.Output);
    }

    [RootFact]
    public void A_guest_has_nothing_but_lo_and_its_own_addresses()
    {
        Instance.CreateGuest("run");
        JsonElement links = JsonDocument.Parse(Instance.Run("run", Time, "ip", "-j", "addr").Output).RootElement;
        JsonElement link = Assert.Single(links.EnumerateArray());
        Assert.Equal("lo", link.GetProperty("ifname").GetString());
        string[] addresses = [.. link.GetProperty("addr_info").EnumerateArray().Select(address => address.GetProperty("local").GetString()!)];
        Assert.Equivalent(new[] { "127.0.0.1", "::1", Instance.Ipv4("run"), Instance.Ipv6("run") }, addresses);
    }

    [RootTheory]
    [InlineData("no-such-program", 127, "no program no-such-program in PATH")]
    [InlineData("/etc/passwd", 126, "not executable")]
    [InlineData("/usr/bin", 126, "is a directory")]
    [InlineData("/usr/bin/passwd", 126, "set-user-ID")]
    public void What_cannot_be_covered_is_refused_at_once(string program, int code, string reason)
    {
        CommandResult result = Instance.Run("run", Time, program);
        Assert.Equal(code, result.ExitCode);
        Assert.Contains(reason, result.Error);
        Assert.Single(result.Error.TrimEnd('\n').Split('\n'));
    }

    [RootFact]
    public void What_a_covered_program_starts_and_is_not_covered_itself_is_listed_with_the_reason()
    {
        string folder = Instance.Folder;
        string make = $"cd {folder} && gcc -static -O1 -o uncovered {Programs.Path("uncovered.c")} && gcc -static -O1 -DGO -o gopher {Programs.Path("uncovered.c")}"
            + " && cp /bin/sleep setuid && chown 65534 setuid && chmod 4755 setuid";
        using (GuestProcess made = GuestProcess.Start(folder, 9200, ["sh", "-c", make]))
        {
            Assert.True(made.Wait(TimeSpan.FromSeconds(60)).Succeeded, made.Error);
        }

        string script = $"cd {folder}; ./uncovered & ./gopher & ./uncovered clean & ./setuid 1000 & NETKERNEL_ATTACH= LD_PRELOAD= sleep 1001 & exec python3 -m http.server 8001";
        using GuestProcess server = Instance.Start("uncovered", "sh", "-c", script);
        Assert.True(Instance.WaitForListener("uncovered", 8001, Time), server.Error);
        Dictionary<string, string?> found = [];
        Assert.True(
            NkInstance.WaitFor(() => (found = Listed()).Count == 6 && !found.ContainsKey("sh"), Time), string.Join('\n', found));
        Assert.Null(found["python3"]);
        Assert.Contains("statically linked", found["uncovered"]);
        Assert.Contains("Go program", found["gopher"]);
        Assert.Contains("set-user-ID", found["setuid"]);
        Assert.Contains("removed it", found["sleep 1000"]);
        Assert.Contains("asks for that", found["sleep 1001"]);
        string table = Instance.Nk("proc", "list", "--guest", "uncovered").Output;
        Assert.Contains("ACCELERATED", table);
        Assert.Contains("kernel0", table);
        Assert.Contains("statically linked", table);
        Assert.Contains("statically linked", Instance.Nk("guest", "list", "-o", "wide").Output);
        Assert.Equal(0, Instance.Nk("guest", "delete", "uncovered", "--force").ExitCode);

        Dictionary<string, string?> Listed()
        {
            Dictionary<string, string?> reasons = [];
            foreach (JsonElement process in Instance.List("proc", "list", "--guest", "uncovered")[0].GetProperty("processList").EnumerateArray())
            {
                string name = process.GetProperty("name").GetString()!;
                name += name == "sleep" ? " " + File.ReadAllText($"/proc/{process.GetProperty("pid").GetInt32()}/cmdline").Split('\0')[1] : "";
                reasons[name] = process.TryGetProperty("reason", out JsonElement reason) ? reason.GetString() : null;
            }

            return reasons;
        }
    }

    [RootFact]
    public void Io_uring_is_ENOSYS_to_programs_that_ask_the_kernel_themselves()
    {
        string program = Programs.Compile(Instance, "uring.c");
        Assert.Equal("program: -38\nthread: -38\nchild: -38\nexecuted: -38\n", Instance.Run("run", Time, program).Output);
        Assert.Contains("NoNewPrivs:\t0", Instance.Run("run", Time, "cat", "/proc/self/status").Output);
    }

    [RootFact]
    public void A_guest_may_not_use_its_NSMs_loopback()
    {
        CommandResult result = Instance.Nk("run", "--guest", "run", "--loopback", "netkernel", "--", "true");
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("for tests", result.Error);

        // What a program sets for itself is refused by the NSM.
        CommandResult forced = Instance.Run(
            "run", Time, "env", "NETKERNEL_LOOPBACK=netkernel", "python3", "-c",
            "import socket; print(*(socket.socket().connect_ex(('127.0.0.1', 1)), socket.socket(socket.AF_INET6).connect_ex(('::1', 1))))");
        Assert.Equal("101 101\n", forced.Output); // ENETUNREACH
    }

    [Fact]
    public void Nk_run_leaves_nothing_in_the_temporary_folder()
    {
        string folder = Directory.CreateDirectory(Path.Combine(Instance.Folder, "temporary")).FullName;
        using GuestProcess process = Instance.StartRaw(
            ["env", "DOTNET_EnableDiagnostics=1", "TMPDIR=" + folder, Places.Find("nk")!, "run", "--run-dir", Instance.RunDirectory, "--guest", "run", "--", "ls", "-A", folder]);
        CommandResult result = process.Wait(Time);
        Assert.True(result.Succeeded, result.ToString());
        Assert.Empty(result.Output);
    }

    [RootFact]
    public void What_runs_in_a_guest_is_listed_with_its_listener()
    {
        using GuestProcess server = Instance.Start("listed", "python3", "-m", "http.server", "8000");
        Assert.True(Instance.WaitForListener("listed", 8000, Time), server.Error);
        JsonElement guest = Instance.List("guest", "list").EnumerateArray().Single(guest => guest.GetProperty("name").GetString() == "listed");
        Assert.Equal(1, guest.GetProperty("processes").GetInt32());
        JsonElement process = Assert.Single(guest.GetProperty("processList").EnumerateArray());
        Assert.Equal(server.Pid, process.GetProperty("pid").GetInt32());
        Assert.True(process.GetProperty("covered").GetBoolean());
        Assert.Matches("listed\\s+tcp\\s+\\S+:8000\\s.*listen", Instance.Nk("conn", "list", "--guest", "listed").Output);
        Assert.Contains("listed", Instance.Nk("stat").Output);
        Assert.Equal(1, Instance.Nk("guest", "delete", "listed").ExitCode);
        Assert.Equal(0, Instance.Nk("guest", "delete", "listed", "--force").ExitCode);
        Assert.True(NkInstance.WaitFor(() => server.Ended, Time));
    }
}
