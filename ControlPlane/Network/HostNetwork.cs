using System.Diagnostics;
using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// The try-out that needs no privileges: NSMs use the host's stack, and a guest's addresses are the host's. A guest still gets a network
/// namespace of its own: a named one for root, else one in a user namespace that a sleeping holder keeps; where even that is not
/// permitted, its programs stay in the host's namespace, and the operator is told.
/// </summary>
internal sealed class HostNetwork(string instance, bool privileged) : INetwork
{
    private readonly Dictionary<string, Process> _holders = [];
    private readonly bool _userNamespaces = !privileged && Succeeds("unshare", "--user", "--net", "--map-current-user", "true");

    public string Mode => "host";

    public string? Notice => privileged || _userNamespaces
        ? null
        : "user namespaces are not permitted here: programs stay in the host's network namespace, where what the guest library does not cover "
          + "still reaches the host's network (mend: sysctl kernel.unprivileged_userns_clone=1, or run as root)";

    public void Start()
    {
    }

    public void Remove()
    {
        foreach (string name in _holders.Keys.ToArray())
        {
            EndHolder(name);
        }

        if (!privileged)
        {
            return;
        }

        var names = NetworkNamespace.OfInstance(instance);
        foreach (string name in names)
        {
            ProcessesInside.End(NetworkNamespace.Inode(NetworkNamespace.PathOf(name)));
        }

        IpTool.BatchQuietly(null, [.. names.Select(name => $"netns del {name}")]);
    }

    public void AddNsm(NsmRecord nsm) => nsm.NamespacePath = null;

    public void RemoveNsm(NsmRecord nsm)
    {
    }

    public void AddGuest(GuestRecord guest, NsmRecord nsm)
    {
        guest.NamespacePath = null;
        guest.NamespaceInode = 0;
        guest.NamespacePid = 0;
        if (privileged)
        {
            string space = $"{instance}-g-{guest.Name}";
            IpTool.Batch(null, $"netns add {space}");
            IpTool.Batch(space, "link set lo up");
            guest.NamespacePath = NetworkNamespace.PathOf(space);
            guest.NamespaceInode = NetworkNamespace.Inode(guest.NamespacePath);
        }
        else if (_userNamespaces)
        {
            var start = new ProcessStartInfo("unshare")
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                ArgumentList = { "--user", "--net", "--map-current-user", "--keep-caps", "sh", "-c", "ip link set lo up; echo ready; exec cat" },
            };
            Process holder = Process.Start(start) ?? throw new InvalidOperationException("cannot start unshare (package util-linux)");
            _ = holder.StandardOutput.ReadLine();
            _holders[guest.Name] = holder;
            guest.NamespacePid = holder.Id;
            guest.NamespaceInode = NetworkNamespace.Inode($"/proc/{holder.Id}/ns/net");
        }
    }

    public void RemoveGuest(GuestRecord guest, NsmRecord nsm)
    {
        if (privileged)
        {
            ProcessesInside.End(guest.NamespaceInode);
            IpTool.BatchQuietly(null, $"netns del {instance}-g-{guest.Name}");
        }
        else
        {
            ProcessesInside.End(() => ProcessesInside.WithVariable("NETKERNEL_ATTACH=" + guest.AttachPath));
            EndHolder(guest.Name);
        }
    }

    // The holder reads its standard input, a pipe from nkd: it ends with nkd, however nkd ends.
    private void EndHolder(string name)
    {
        if (_holders.Remove(name, out Process? holder))
        {
            ProcessesInside.End(NetworkNamespace.Inode($"/proc/{holder.Id}/ns/net"));
            holder.Dispose();
        }
    }

    private static bool Succeeds(string program, params string[] arguments)
    {
        try
        {
            using Process? process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true });
            process?.WaitForExit();
            return process?.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
