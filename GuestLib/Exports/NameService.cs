using System.Runtime;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Exports;

/// <summary>The entry points of the name service "netkernel" (nss.h), which the C library finds by their names.</summary>
internal static unsafe class NameService
{
    [RuntimeExport("_nss_netkernel_gethostbyname4_r")]
    public static int GetHostByName4(byte* name, AddressTuple** list, byte* buffer, nuint length, int* error, int* hostError, int* ttl) =>
        Answering.Addresses(name, list, buffer, length, error, hostError, ttl);

    [RuntimeExport("_nss_netkernel_gethostbyname3_r")]
    public static int GetHostByName3(
        byte* name, int family, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError, int* ttl, byte** canonical) =>
        Answering.Host(name, family, strict: false, entry, buffer, length, error, hostError, ttl, canonical);

    [RuntimeExport("_nss_netkernel_gethostbyname2_r")]
    public static int GetHostByName2(byte* name, int family, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError) =>
        Answering.Host(name, family, strict: true, entry, buffer, length, error, hostError, null, null);

    [RuntimeExport("_nss_netkernel_gethostbyname_r")]
    public static int GetHostByName(byte* name, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError) =>
        Answering.Host(name, Abi.AF_INET, strict: true, entry, buffer, length, error, hostError, null, null);

    [RuntimeExport("_nss_netkernel_gethostbyaddr2_r")]
    public static int GetHostByAddr2(
        byte* address, uint addressLength, int family, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError, int* ttl) =>
        Answering.Pointer(address, addressLength, family, entry, buffer, length, error, hostError, ttl);

    [RuntimeExport("_nss_netkernel_gethostbyaddr_r")]
    public static int GetHostByAddr(
        byte* address, uint addressLength, int family, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError) =>
        Answering.Pointer(address, addressLength, family, entry, buffer, length, error, hostError, null);
}
