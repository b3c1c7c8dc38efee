using System.Globalization;
using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>The world to compare with: ordinary namespaces with veths into a bridge.</summary>
internal sealed class NativeNet : INet, IDisposable
{
    private readonly string _prefix = $"mx-{Environment.ProcessId}";
    private readonly string _folder;
    private int _runs;

    public NativeNet(string folder)
    {
        _folder = Directory.CreateDirectory(Path.Combine(folder, "runs")).FullName;
        try
        {
            Make();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public GuestProcess Start(string machine, IEnumerable<string> command) =>
        GuestProcess.Start(_folder, Interlocked.Increment(ref _runs), ["ip", "netns", "exec", NamespaceOf(machine), .. command]);

    public string NamespaceOf(string machine) => $"{_prefix}-{machine}";

    public bool Listens(string machine, int port)
    {
        using GuestProcess ss = Start(machine, ["ss", "-Hltn", string.Create(CultureInfo.InvariantCulture, $"sport = :{port}")]);
        return ss.Wait(Patience.Short).Output.Length > 0;
    }

    public void Dispose()
    {
        foreach (string name in (string[])[.. Machines.All, "br"])
        {
            if (File.Exists($"/run/netns/{NamespaceOf(name)}"))
            {
                OutsideNamespace.Ip(null, $"netns del {NamespaceOf(name)}");
            }
        }
    }

    private void Make()
    {
        OutsideNamespace.Ip(null, $"netns add {_prefix}-br");
        OutsideNamespace.Ip(_prefix + "-br", "link set lo up", "link add br0 type bridge", "link set br0 up");
        foreach (string machine in Machines.All)
        {
            string space = NamespaceOf(machine);
            OutsideNamespace.Ip(null, $"netns add {space}");
            OutsideNamespace.Ip(
                space,
                "link set lo up",
                $"link add eth0 type veth peer name {machine} netns {_prefix}-br",
                "link set eth0 up",
                $"addr add {Machines.Ipv4(machine)}/16 dev eth0",
                $"addr add {Machines.Ipv6(machine)}/64 dev eth0 nodad");
            OutsideNamespace.Ip(_prefix + "-br", $"link set {machine} master br0", $"link set {machine} up");
        }
    }
}
