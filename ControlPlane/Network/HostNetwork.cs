using System.Diagnostics;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// The try-out that needs no privileges: NSMs use the host's stack, and a guest's addresses are the host's. A guest still gets a network
/// namespace of its own: a named one for root, else one in a user namespace that a sleeping holder keeps; where even that is not
/// permitted, its programs stay in the host's namespace, and the operator is told.
/// </summary>
internal sealed class HostNetwork(string instance, bool privileged) : INetwork
{
    private const string HolderVariable = "NETKERNEL_HOLDER";

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
        if (!privileged)
        {
            foreach (int holder in ProcessesInside.Where(settings => settings.Any(one => one.StartsWith($"{HolderVariable}={instance}/", StringComparison.Ordinal))))
            {
                EndHolder(holder);
            }

            return;
        }

        var names = NetworkNamespace.OfInstance(instance);
        foreach (string name in names)
        {
            ProcessesInside.End(NetworkNamespace.Inode(NetworkNamespace.PathOf(name)));
        }

        IpTool.BatchQuietly(null, [.. names.Select(name => $"netns del {name}")]);
    }

    public void TakeOver(Snapshot declared)
    {
        if (privileged)
        {
            foreach (string name in NamedSpaces.Undeclared(instance, declared))
            {
                NamedSpaces.Delete(name);
            }

            NamedSpaces.Find(instance, declared);
            return;
        }

        string prefix = $"{HolderVariable}={instance}/";
        foreach (int pid in ProcessesInside.Where(settings => settings.Any(one => one.StartsWith(prefix, StringComparison.Ordinal))))
        {
            string name = ProcessesInside.Settings(pid).First(one => one.StartsWith(prefix, StringComparison.Ordinal))[prefix.Length..];
            if (declared.Guests.TryGetValue(name, out GuestRecord? guest))
            {
                guest.NamespacePid = pid;
                guest.NamespaceInode = NetworkNamespace.Inode($"/proc/{pid}/ns/net");
            }
            else
            {
                EndHolder(pid);
            }
        }
    }

    public void AddNsm(NsmRecord nsm) => nsm.NamespacePath = null;

    public void RemoveNsm(NsmRecord nsm)
    {
    }

    public void AddGuest(GuestRecord guest, NsmRecord nsm)
    {
        if (privileged)
        {
            string space = NamedSpaces.OfGuest(instance, guest.Name);
            NamedSpaces.Make(space);
            IpTool.Batch(space, "link set lo up");
            NamedSpaces.Find(instance, guest);
        }
        else if (_userNamespaces && guest.NamespacePid == 0)
        {
            // It waits for nothing and outlives nkd; the next nkd finds it by the variable.
            var start = new ProcessStartInfo("setsid")
            {
                RedirectStandardOutput = true,
                ArgumentList =
                {
                    "unshare", "--user", "--net", "--map-current-user", "--keep-caps", "sh", "-c",
                    "ip link set lo up; echo ready; exec sleep infinity >/dev/null 2>&1 </dev/null",
                },
                Environment = { [HolderVariable] = $"{instance}/{guest.Name}" },
            };
            using Process holder = Process.Start(start) ?? throw new InvalidOperationException("cannot start unshare (package util-linux)");
            _ = holder.StandardOutput.ReadLine();
            guest.NamespacePid = holder.Id;
            guest.NamespaceInode = NetworkNamespace.Inode($"/proc/{holder.Id}/ns/net");
        }
    }

    public void RemoveGuest(GuestRecord guest, NsmRecord? nsm)
    {
        if (privileged)
        {
            NamedSpaces.Delete(NamedSpaces.OfGuest(instance, guest.Name));
            return;
        }

        ProcessesInside.End(() => ProcessesInside.WithVariable("NETKERNEL_ATTACH=" + guest.AttachPath));
        if (guest.NamespacePid != 0)
        {
            EndHolder(guest.NamespacePid);
        }
    }

    private static void EndHolder(int pid) => ProcessesInside.End(NetworkNamespace.Inode($"/proc/{pid}/ns/net"));

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
