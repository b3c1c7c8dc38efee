namespace NetKernel.GuestLib.Names;

/// <summary>
/// The order of addresses (RFC 6724 section 6, rule 1: avoid unusable destinations). The C library has looked where its own kernel could send, and that is
/// nowhere outside in a guest; so where both families are there, the NSM is asked as well.
/// </summary>
internal static unsafe class Reachability
{
    /// <summary>Further addresses count as the last one of their family that was looked at.</summary>
    private const int MostProbes = 8;

    private const int SOCK_DGRAM = 2;

    /// <summary>Puts addresses without a route behind those with one. <paramref name="list"/> is a result of getaddrinfo(3).</summary>
    internal static void Sort(AddressHints** list)
    {
        AddressHints* head = *list;
        if (!HasBothFamilies(head))
        {
            return;
        }

        int errno = Libc.Errno;
        AddressHints* good = null, bad = null, last = null;
        AddressHints** goodEnd = &good;
        AddressHints** badEnd = &bad;
        bool last4 = true, last6 = true;
        int probes = 0;
        Held held;
        Held.Begin(&held);
        for (AddressHints* at = head; at != null; last = at, at = (AddressHints*)at->Next)
        {
            bool four = at->Family == Abi.AF_INET;
            if (at->Family is Abi.AF_INET or Abi.AF_INET6 && (last == null || !SameAddress(last, at)) && probes < MostProbes)
            {
                probes++;
                bool reachable = IsReachable(at, &held);
                last4 = four ? reachable : last4;
                last6 = four ? last6 : reachable;
            }

            if (four ? last4 : last6)
            {
                *goodEnd = at;
                goodEnd = (AddressHints**)&at->Next;
            }
            else
            {
                *badEnd = at;
                badEnd = (AddressHints**)&at->Next;
            }
        }

        Held.End(&held);
        *badEnd = null;
        *goodEnd = bad;

        // The canonical name is the first one's.
        nint name = head->CanonicalName;
        head->CanonicalName = 0;
        good->CanonicalName = name;
        *list = good;
        Libc.Errno = errno;
    }

    private static bool HasBothFamilies(AddressHints* at)
    {
        bool four = false, six = false;
        for (; at != null; at = (AddressHints*)at->Next)
        {
            four |= at->Family == Abi.AF_INET;
            six |= at->Family == Abi.AF_INET6;
        }

        return four && six;
    }

    private static bool SameAddress(AddressHints* a, AddressHints* b)
    {
        if (a->Family != b->Family || a->Length != b->Length)
        {
            return false;
        }

        byte* left = (byte*)a->Address;
        byte* right = (byte*)b->Address;
        for (uint i = 0; i < a->Length; i++)
        {
            if (left[i] != right[i])
            {
                return false;
            }
        }

        return true;
    }

    // Connecting a datagram socket sends nothing; it fails where there is no route.
    private static bool IsReachable(AddressHints* at, Held* held)
    {
        byte* address = stackalloc byte[28];
        if (at->Length > 28 || at->Length < 16)
        {
            return true;
        }

        _ = Libc.memmove(address, (void*)at->Address, at->Length);
        if (*(ushort*)(address + 2) == 0)
        {
            address[3] = 53; // any port does
        }

        int fd = Exports.Lifecycle.Socket(at->Family, SOCK_DGRAM | Abi.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return true;
        }

        held->Fd = fd;
        bool reachable = Exports.Sockets.Connect(fd, address, at->Length) == 0;
        held->Close();
        return reachable;
    }
}
