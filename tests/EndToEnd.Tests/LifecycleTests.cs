using System.Diagnostics;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>Parts are killed; whole instances come and go.</summary>
public sealed class LifecycleTests
{
    private static readonly TimeSpan Time = TimeSpan.FromSeconds(10);

    [RootFact]
    public void Down_leaves_nothing()
    {
        NkInstance instance = NkInstance.Up();
        string name = instance.Name;
        string directory = instance.RunDirectory;
        using GuestProcess server = instance.Start("a", "python3", "-m", "http.server", "8000");
        Assert.True(instance.WaitForListener("a", 8000, Time), server.Error);
        Assert.Equal(0, instance.Nk("nsm", "create", "second", "--congestion", "reno").ExitCode);
        Assert.Equal(0, instance.Nk("guest", "create", "b", "--nsm", "second").ExitCode);
        instance.Dispose();

        Assert.True(server.Ended);
        Assert.False(Directory.Exists(directory));
        Assert.DoesNotContain(Directory.EnumerateFiles("/run/netns"), path => Path.GetFileName(path).StartsWith(name, StringComparison.Ordinal));
        Assert.Empty(ProcessesNaming(directory));
    }

    /// <summary>nkd holds a lock on its pid file.</summary>
    [RootFact]
    public void Doctor_does_not_take_an_instance_that_is_up_for_left_over()
    {
        using NkInstance instance = NkInstance.Up();
        CommandResult doctor = instance.Nk("doctor", "-o", "json");
        Assert.Contains("leftovers", doctor.Output, StringComparison.Ordinal);
        Assert.DoesNotContain($"instance {instance.Name},", doctor.Output, StringComparison.Ordinal);
    }

    [RootFact]
    public void A_failed_up_leaves_nothing_but_its_log()
    {
        string name = $"bad-{Environment.ProcessId}";
        string nk = NetKernel.Api.Places.Find("nk")!;
        using Process process = Process.Start(new ProcessStartInfo(nk, ["up", "--instance", name, "--subnet4", "nonsense"]) { RedirectStandardError = true })!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(2, process.ExitCode);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
        Assert.False(Directory.Exists("/run/netkernel-" + name));
    }

    [RootFact]
    public void A_second_nkd_on_a_run_directory_or_an_instance_name_is_refused()
    {
        using NkInstance instance = NkInstance.Up();
        CommandResult same = instance.Nk("up");
        Assert.Equal(1, same.ExitCode);
        Assert.Contains("already up", same.Error);

        string other = instance.RunDirectory + "-other";
        using GuestProcess process = instance.StartRaw([NetKernel.Api.Places.Find("nk")!, "up", "--instance", instance.Name, "--run-dir", other]);
        CommandResult result = process.Wait(Time);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("already up with another run directory", result.Error);
        Assert.False(Directory.Exists(other));
    }

    [RootFact]
    [Trait("Category", "Fault")]
    public void A_killed_NSM_is_back_soon_and_the_same_nginx_serves_again()
    {
        using NkInstance instance = NkInstance.Up();
        var demo = new NetKernel.Cli.Demo.DemoSteps(instance);
        _ = demo.RunStep("nginx (2 workers), wrk");
        int old = instance.NsmPid();
        for (int round = 0; round < 3; round++)
        {
            old = instance.NsmPid();
            _ = GuestProcess.SendSignal(old, 9);
            Assert.True(NkInstance.WaitFor(() => instance.NsmReady() && instance.NsmPid() != old, Time));

            // NsmReady comes first, then CoreEngine makes the listeners again.
            Assert.True(NkInstance.WaitFor(
                () => instance.Outside.Run(Time, "curl", "-s", "--max-time", "20", "-o", "/dev/null", $"http://{instance.Ipv4("b")}/").Succeeded, TimeSpan.FromSeconds(2)));
            _ = demo.RunStep("curl, outside to guest, IPv4");
        }
    }

    [RootFact]
    [Trait("Category", "Fault")]
    public void A_killed_engine_is_started_again_with_all_guests()
    {
        using NkInstance instance = NkInstance.Up();
        instance.CreateGuest("a");
        instance.CreateGuest("b");
        int old = instance.EnginePid;
        _ = GuestProcess.SendSignal(old, 9);
        Assert.True(NkInstance.WaitFor(() => instance.EnginePid is var now && now != old && now != 0 && instance.NsmReady() && instance.StateOf("b") == "ready", Time));
        using GuestProcess server = instance.Start("b", "python3", "-m", "http.server", "8000");
        Assert.True(instance.WaitForListener("b", 8000, Time), server.Error);
        CommandResult curl = instance.Run("a", Time, "curl", "-sS", "--max-time", "30", $"http://{instance.Ipv4("b")}:8000/");
        Assert.True(curl.Succeeded, curl.ToString());
    }

    [RootFact]
    [Trait("Category", "Fault")]
    public void A_killed_nkd_does_not_stop_traffic_and_down_still_removes_everything()
    {
        using NkInstance instance = NkInstance.Up();
        using GuestProcess server = instance.Start("b", "python3", "-m", "http.server", "8000");
        Assert.True(instance.WaitForListener("b", 8000, Time), server.Error);
        _ = instance.Outside;
        _ = GuestProcess.SendSignal(instance.ControlPlanePid, 9);
        CommandResult curl = instance.Outside.Run(Time, "curl", "-sS", "--max-time", "30", "http://198.18.1.1:8000/");
        Assert.True(curl.Succeeded, curl.ToString());
        Assert.Equal(0, instance.Nk("down").ExitCode);
        Assert.True(NkInstance.WaitFor(() => server.Ended, Time));
        Assert.Empty(ProcessesNaming(instance.RunDirectory));
        Assert.False(Directory.Exists(instance.RunDirectory));
    }

    private static List<string> ProcessesNaming(string text)
    {
        var found = new List<string>();
        foreach (string folder in Directory.EnumerateDirectories("/proc").Where(folder => char.IsAsciiDigit(Path.GetFileName(folder)[0])))
        {
            try
            {
                string command = File.ReadAllText(Path.Combine(folder, "cmdline")).Replace('\0', ' ');
                if (command.Contains(text, StringComparison.Ordinal))
                {
                    found.Add(command);
                }
            }
            catch (IOException)
            {
                // It ended.
            }
        }

        return found;
    }
}
