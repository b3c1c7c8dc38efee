using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>The named namespaces of an instance: INSTANCE-nsm-NAME and INSTANCE-g-NAME.</summary>
internal static class NamedSpaces
{
    public static string OfNsm(string instance, string nsm) => $"{instance}-nsm-{nsm}";

    public static string OfGuest(string instance, string guest) => $"{instance}-g-{guest}";

    /// <summary>Makes a namespace unless it is there.</summary>
    public static void Make(string space)
    {
        // Inode 0 of a file that is there: ip-netns was killed between making the file and mounting on it.
        if (!File.Exists(NetworkNamespace.PathOf(space)))
        {
            IpTool.Batch(null, $"netns add {space}");
        }
    }

    /// <summary>Ends what runs in a namespace, and removes it.</summary>
    public static void Delete(string space)
    {
        ProcessesInside.End(NetworkNamespace.Inode(NetworkNamespace.PathOf(space)));
        IpTool.BatchQuietly(null, $"netns del {space}");
    }

    /// <summary>Namespaces of guests and NSMs that are not declared.</summary>
    public static IEnumerable<string> Undeclared(string instance, Snapshot declared)
    {
        HashSet<string> known =
            [.. declared.Nsms.Keys.Select(name => OfNsm(instance, name)), .. declared.Guests.Keys.Select(name => OfGuest(instance, name)), instance + "-br", instance + "-out"];
        return NetworkNamespace.OfInstance(instance).Where(name => !known.Contains(name));
    }

    /// <summary>Notes the namespaces that are there.</summary>
    public static void Find(string instance, Snapshot declared)
    {
        foreach (NsmRecord nsm in declared.Nsms.Values)
        {
            string path = NetworkNamespace.PathOf(OfNsm(instance, nsm.Name));
            nsm.NamespacePath = File.Exists(path) ? path : null;
        }

        foreach (GuestRecord guest in declared.Guests.Values)
        {
            Find(instance, guest);
        }
    }

    /// <summary>Notes a guest's namespace if it is there.</summary>
    public static void Find(string instance, GuestRecord guest)
    {
        string path = NetworkNamespace.PathOf(OfGuest(instance, guest.Name));
        guest.NamespaceInode = NetworkNamespace.Inode(path);
        guest.NamespacePath = guest.NamespaceInode == 0 ? null : path;
    }
}
