using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Network;

/// <summary>
/// The test set-up, for root: each NSM in a namespace INSTANCE-nsm-NAME that has lo and nothing else. Its guests share that loopback, when their
/// programs are told to (nk run --loopback netkernel), with exactly the kernel's meaning of 127.0.0.0/8, ::1 and the wildcards. Guests are
/// therefore not kept apart from each other: nothing for tenants.
/// </summary>
internal sealed class PrivateNetwork(string instance) : INetwork
{
    public string Mode => "private";

    public string? Notice => "private mode is for tests: guests of one NSM share its loopback, and nothing reaches the outside";

    public void Start()
    {
    }

    public void Remove()
    {
        foreach (string name in NetworkNamespace.OfInstance(instance))
        {
            NamedSpaces.Delete(name);
        }
    }

    public void TakeOver(Snapshot declared)
    {
        foreach (string name in NamedSpaces.Undeclared(instance, declared))
        {
            NamedSpaces.Delete(name);
        }

        NamedSpaces.Find(instance, declared);
    }

    public void AddNsm(NsmRecord nsm)
    {
        Make(NsmSpace(nsm));
        nsm.NamespacePath = NetworkNamespace.PathOf(NsmSpace(nsm));
    }

    public void RemoveNsm(NsmRecord nsm) => NamedSpaces.Delete(NsmSpace(nsm));

    public void AddGuest(GuestRecord guest, NsmRecord nsm)
    {
        string space = GuestSpace(guest);
        Make(space);
        guest.NamespacePath = NetworkNamespace.PathOf(space);
        guest.NamespaceInode = NetworkNamespace.Inode(guest.NamespacePath);
    }

    public void RemoveGuest(GuestRecord guest, NsmRecord? nsm) => NamedSpaces.Delete(GuestSpace(guest));

    private static void Make(string space)
    {
        NamedSpaces.Make(space);
        IpTool.Batch(space, "link set lo up");
    }

    private string NsmSpace(NsmRecord nsm) => NamedSpaces.OfNsm(instance, nsm.Name);

    private string GuestSpace(GuestRecord guest) => NamedSpaces.OfGuest(instance, guest.Name);
}
