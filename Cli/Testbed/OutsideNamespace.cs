using System.Diagnostics;

namespace NetKernel.Cli.Testbed;

/// <summary>A machine outside: a namespace with an ordinary stack and a veth into the instance's bridge.</summary>
public sealed class OutsideNamespace
{
    private readonly NkInstance _instance;

    internal OutsideNamespace(NkInstance instance)
    {
        _instance = instance;
        Name = instance.Name + "-out";
        string bridge = instance.Name + "-br";
        Ip(null, $"netns add {Name}");
        Ip(
            Name,
            "link set lo up",
            $"link add eth0 type veth peer name out0 netns {bridge}",
            "link set eth0 up",
            $"addr add {Ipv4}/16 dev eth0",
            $"addr add {Ipv6}/64 dev eth0 nodad");
        Ip(bridge, "link set out0 master br0", "link set out0 up");
    }

    /// <summary>The namespace's name, as ip netns has it.</summary>
    public string Name { get; }

    /// <summary>Its address.</summary>
    public string Ipv4 { get; } = "198.18.0.250";

    /// <summary>Its address.</summary>
    public string Ipv6 { get; } = "2001:2::fa";

    /// <summary>Starts a program outside; it ends with the instance at the latest.</summary>
    public GuestProcess Start(params IEnumerable<string> command) => _instance.StartRaw(["ip", "netns", "exec", Name, .. command]);

    /// <summary>Runs a program outside to its end.</summary>
    public CommandResult Run(TimeSpan timeout, params IEnumerable<string> command)
    {
        using GuestProcess process = Start(command);
        return process.Wait(timeout);
    }

    internal static void Ip(string? space, params string[] commands)
    {
        var start = new ProcessStartInfo("ip") { RedirectStandardInput = true, RedirectStandardError = true };
        foreach (string word in space is null ? ["-batch", "-"] : new[] { "-n", space, "-batch", "-" })
        {
            start.ArgumentList.Add(word);
        }

        using Process process = Process.Start(start) ?? throw new InvalidOperationException("cannot start ip");
        process.StandardInput.Write(string.Join('\n', commands) + "\n");
        process.StandardInput.Close();
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException($"ip: {error.Trim()}");
        }
    }
}
