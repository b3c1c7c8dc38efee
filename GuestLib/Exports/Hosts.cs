using System.Runtime;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// The C library's calls for names and addresses. They stay its own; this library only makes sure beforehand that it is the service which they ask
/// (<see cref="Service"/>).
/// </summary>
internal static unsafe class Hosts
{
    private const int AI_ADDRCONFIG = 0x20;

    [RuntimeExport("getaddrinfo")]
    public static int GetAddrInfo(byte* name, byte* service, AddressHints* hints, void** result)
    {
        Service.Ensure();
        AddressHints without;
        if (hints != null && (hints->Flags & AI_ADDRCONFIG) != 0 && Attaching.IsGuest && Attaching.Ensure() && Region.IsHostMode)
        {
            // The addresses are the host's, and cannot be seen from here: to the C library there would be none to speak from.
            without = *hints;
            without.Flags &= ~AI_ADDRCONFIG;
            hints = &without;
        }

        int error = RealNames.getaddrinfo(name, service, hints, result);
        if (error == 0 && name != null && Attaching.IsGuest)
        {
            Reachability.Sort((AddressHints**)result);
        }

        return error;
    }

    [RuntimeExport("getaddrinfo_a")]
    public static int GetAddrInfoA(int mode, void** list, int count, void* notify)
    {
        Service.Ensure();
        return RealNames.getaddrinfo_a(mode, list, count, notify);
    }

    [RuntimeExport("getnameinfo")]
    public static int GetNameInfo(void* address, uint length, byte* host, uint hostLength, byte* service, uint serviceLength, int flags)
    {
        Service.Ensure();
        return RealNames.getnameinfo(address, length, host, hostLength, service, serviceLength, flags);
    }

    [RuntimeExport("gethostbyname")]
    public static HostEntry* GetHostByName(byte* name)
    {
        Service.Ensure();
        return RealNames.gethostbyname(name);
    }

    [RuntimeExport("gethostbyname2")]
    public static HostEntry* GetHostByName2(byte* name, int family)
    {
        Service.Ensure();
        return RealNames.gethostbyname2(name, family);
    }

    [RuntimeExport("gethostbyaddr")]
    public static HostEntry* GetHostByAddr(void* address, uint length, int family)
    {
        Service.Ensure();
        return RealNames.gethostbyaddr(address, length, family);
    }

    [RuntimeExport("gethostbyname_r")]
    public static int GetHostByNameR(byte* name, HostEntry* entry, byte* buffer, nuint length, HostEntry** result, int* error)
    {
        Service.Ensure();
        return RealNames.gethostbyname_r(name, entry, buffer, length, result, error);
    }

    [RuntimeExport("gethostbyname2_r")]
    public static int GetHostByName2R(byte* name, int family, HostEntry* entry, byte* buffer, nuint length, HostEntry** result, int* error)
    {
        Service.Ensure();
        return RealNames.gethostbyname2_r(name, family, entry, buffer, length, result, error);
    }

    [RuntimeExport("gethostbyaddr_r")]
    public static int GetHostByAddrR(
        void* address, uint addressLength, int family, HostEntry* entry, byte* buffer, nuint length, HostEntry** result, int* error)
    {
        Service.Ensure();
        return RealNames.gethostbyaddr_r(address, addressLength, family, entry, buffer, length, result, error);
    }

    [RuntimeExport("__nss_configure_lookup")]
    public static int ConfigureLookup(byte* database, byte* services) => Service.Set(database, services);
}
