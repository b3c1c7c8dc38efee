using System.Globalization;
using System.Text.Json;
using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>NetKernel's world: server, peer and client are guests of one NSM of the kind under test, or meet in shared memory.</summary>
internal sealed class GuestNet : INet, IDisposable
{
    private readonly NkInstance _nk;

    public GuestNet(string nsmKind)
    {
        _nk = NsmKinds.Up(nsmKind);
        string nsm = NsmKinds.Provide(_nk, nsmKind);
        foreach (string guest in Machines.Guests)
        {
            CommandResult made = _nk.Nk("guest", "create", guest, "--nsm", nsm, "--ipv4", Machines.Ipv4(guest), "--ipv6", Machines.Ipv6(guest));
            Assert.True(made.Succeeded, made.ToString());
        }

        Assert.Equal(Machines.Ipv4(Machines.Outside), _nk.Outside.Ipv4);
        Assert.Equal(Machines.Ipv6(Machines.Outside), _nk.Outside.Ipv6);
    }

    public GuestProcess Start(string machine, IEnumerable<string> command) =>
        machine == Machines.Outside ? _nk.Outside.Start(command) : _nk.Start(machine, command);

    public string NamespaceOf(string machine) => machine == Machines.Outside ? _nk.Outside.Name : _nk.NamespaceOf(machine);

    public bool Listens(string machine, int port)
    {
        if (machine != Machines.Outside)
        {
            return _nk.WaitForListener(machine, port, TimeSpan.Zero);
        }

        using GuestProcess ss = Start(machine, ["ss", "-Hltn", string.Create(CultureInfo.InvariantCulture, $"sport = :{port}")]);
        return ss.Wait(Patience.Short).Output.Length > 0;
    }

    public Traffic Traffic() => _nk.TrafficOf(Machines.Guests);

    /// <summary>Bytes that have gone by shared memory.</summary>
    public ulong SharedBytes()
    {
        JsonElement[] shared = [.. _nk.List("stat").GetProperty("nsms").EnumerateArray().Where(nsm => nsm.GetProperty("name").GetString() == "sharedmem")];
        return shared.Aggregate(0UL, (sum, nsm) => sum + nsm.GetProperty("bytesSent").GetUInt64() + nsm.GetProperty("bytesReceived").GetUInt64());
    }

    public string Connections() => _nk.Nk("conn", "list").Output;

    public void AssertOnlyLoopback()
    {
        foreach (string guest in Machines.Guests)
        {
            using GuestProcess ip = _nk.StartRaw(["ip", "-n", NamespaceOf(guest), "-o", "link"]);
            string line = Assert.Single(ip.Wait(Patience.Short).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
            Assert.StartsWith("1: lo:", line, StringComparison.Ordinal);
        }
    }

    public void Dispose() => _nk.Dispose();
}
