using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// programs/processes: what becomes of sockets when processes fork, execute, hand them over and die. The kernel is the oracle: each program runs over
/// its own loopback first, and must print the same in a guest.
/// </summary>
[Collection(SharedInstance.Name)]
public sealed partial class ProcessModelTests(InstanceFixture fixture)
{
    /// <summary>Seconds that one program may take on a machine with much else to do; those that wait for something that never comes end themselves before.</summary>
    private const int Patience = 600;

    private NkInstance Nk => fixture.Nk;

    [Fact]
    public void Forks() => Check("forks.py", 7300);

    [Fact]
    public void Programs_that_are_executed() => Check("execs.py", 7302);

    [Fact]
    public void Sockets_handed_over_to_other_processes() => Check("passing.py", 7303);

    /// <summary>fdopen, dprintf, stdin, stdout and stderr, freopen, an inetd's program.</summary>
    [Fact]
    public void Stdio_on_sockets() => Check([Compile("stdio.c")], 7307);

    [Fact]
    public void Shells_and_others_that_use_a_socket_as_a_stream() => Check("streams.py", 7308);

    /// <summary>dup2 onto every number, the library's own among them; closefrom, close_range, daemon.</summary>
    [Fact]
    public void Every_number_is_the_programs() => Check([Compile("numbers.c")], 7309);

    /// <summary>chroot, pivot_root, unshare, setuid before the first socket.</summary>
    [RootFact]
    public void Rights_and_root_given_up_before_the_first_socket() => Check([Compile("rooted.c")], 7310);

    [RootFact]
    public void Programs_as_another_user_in_another_root_with_another_environment() => Check("rights.py", 7311);

    /// <summary>seccomp filters by prctl, syscall(SYS_seccomp) and syscall(SYS_prctl) that allow a handful of calls.</summary>
    [Fact]
    public void Programs_that_allow_themselves_but_a_few_system_calls() => Check([Compile("sandbox.c")], 7312);

    [Fact]
    public void Epoll_sets_that_several_processes_have() => Check("epolls.py", 7305);

    [Fact]
    public void More_processes_than_a_guest_can_have_are_told_so_and_a_place_is_free_again_at_once()
    {
        Nk.CreateGuest("full");
        using GuestProcess peer = Nk.Outside.Start("python3", Script("peer.py"), "0.0.0.0", "7301");
        Programs.AwaitLine(peer, "ready");
        CommandResult result = Nk.Run("full", TimeSpan.FromSeconds(120), "python3", Script("full.py"), Nk.Outside.Ipv4, "7301");
        Assert.Equal("served 255 then ['EMFILE ECONNRESET']\nagain ['+']\n", result.Output);
        Assert.Contains("netkernel: this guest has as many processes with sockets as it can have (256)", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Calls_by_number()
    {
        string program = Compile("syscalls.c");
        Check([program], 7304);
        Assert.Equal("io_uring_setup: -1 ENOSYS\n", Nk.Run("a", TimeSpan.FromSeconds(30), program, "127.0.0.1", "1", "uring").Output);
    }

    private string Compile(string source)
    {
        string program = Path.Combine(Nk.Folder, Path.GetFileNameWithoutExtension(source));
        using GuestProcess gcc = GuestProcess.Start(Nk.Folder, 9100, ["gcc", "-O1", "-Wall", "-Werror", "-pthread", "-o", program, Script(source)]);
        CommandResult built = gcc.Wait(TimeSpan.FromSeconds(60));
        Assert.True(built.Succeeded, built.ToString());
        return program;
    }

    private static string Script(string name) => Programs.Path(Path.Combine("processes", name));

    private void Check(string script, int port) => Check(["python3", Script(script)], port);

    private void Check(string[] program, int port)
    {
        string expected = RunNatively(program);
        string number = port.ToString(CultureInfo.InvariantCulture);
        using GuestProcess peer = Nk.Outside.Start("python3", Script("peer.py"), "0.0.0.0", number);
        Programs.AwaitLine(peer, "ready");
        CommandResult result = Nk.Run("a", TimeSpan.FromSeconds(Patience), [.. program, Nk.Outside.Ipv4, number]);
        Assert.True(expected == result.Output && result.Succeeded, $"natively:\n{expected}\nthrough NetKernel:\n{result.Output}\n{result}");
    }

    private static string RunNatively(string[] program) => Programs.RunNatively(
        ["python3", Script("peer.py"), "127.0.0.1", "0"], port => [.. program, "127.0.0.1", port.ToString(CultureInfo.InvariantCulture)], seconds: Patience);
}
