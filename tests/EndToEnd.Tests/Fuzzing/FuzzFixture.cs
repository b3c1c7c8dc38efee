using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>Two native hosts and two of NetKernel, with an agent on each, by shared memory in either form; and a NetKernel guest with a host outside.</summary>
public sealed class FuzzFixture : IDisposable
{
    private readonly NkInstance _nk = NkInstance.Up("fuzz", [("NETKERNEL_DIRECT_AFTER", "0")]); // where they may, connections go in the direct form from the first byte on
    private readonly NativeHosts _hosts;
    private readonly StageListener _listener;

    public FuzzFixture()
    {
        _listener = new StageListener(_nk.Folder);
        _hosts = new NativeHosts(_nk.Name);
        _nk.CreateGuest("a");
        _nk.CreateGuest("b");
        foreach (string guest in (string[])["c", "d"])
        {
            _nk.CreateGuest(guest);
            CommandResult said = _nk.Nk("guest", "update", guest, "--shared-memory", "direct");
            Assert.True(said.Succeeded, said.ToString());
        }

        StageHost a = Guest("a"), b = Guest("b");
        Native = new Stage(
            "native", _listener, Nursery("na", _hosts.Start(_nk, 0, _listener.Command("na")), NativeHosts.Ipv4(0), NativeHosts.Ipv6(0)),
            Nursery("nb", _hosts.Start(_nk, 1, _listener.Command("nb")), NativeHosts.Ipv4(1), NativeHosts.Ipv6(1)));
        Guests = new Stage("guest-to-guest", _listener, a, b, pid => Knows("a", pid) || Knows("b", pid));
        Direct = new Stage("guest-to-guest-direct", _listener, Guest("c"), Guest("d"), pid => Knows("c", pid) || Knows("d", pid));
        Outside = new Stage("guest-to-outside", _listener, a, Nursery("o", _nk.Outside.Start(_listener.Command("o")), _nk.Outside.Ipv4, _nk.Outside.Ipv6), pid => Knows("a", pid));
    }

    /// <summary>The oracle.</summary>
    internal Stage Native { get; }

    /// <summary>Two guests, by shared memory with copies.</summary>
    internal Stage Guests { get; }

    /// <summary>Two guests, streams in the direct form.</summary>
    internal Stage Direct { get; }

    /// <summary>A is a guest, B an ordinary host.</summary>
    internal Stage Outside { get; }

    /// <summary>The instance.</summary>
    internal NkInstance Nk => _nk;

    public void Dispose()
    {
        _nk.Dispose();
        _hosts.Dispose();
        _listener.Dispose();
    }

    private bool Knows(string guest, int pid) => InUse.Knows(_nk.EnginePid, guest, pid);

    private StageHost Guest(string name) => Nursery(name, _nk.Start(name, _listener.Command(name)), _nk.Ipv4(name), _nk.Ipv6(name));

    private StageHost Nursery(string name, GuestProcess process, string ipv4, string ipv6) =>
        _listener.Await(name) is { } link ? new StageHost(link, ipv4, ipv6) : throw new IOException($"no agent {name}: {process.Error}");
}
