namespace NetKernel.GuestLib.Names;

/// <summary>The C library's own versions of the calls about names, found when the first of them comes.</summary>
internal static unsafe class RealNames
{
    private const nint Next = -1;

    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, AddressHints*, void**, int> getaddrinfo;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void**, int, void*, int> getaddrinfo_a;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, byte*, uint, byte*, uint, int, int> getnameinfo;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, HostEntry*> gethostbyname;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, HostEntry*> gethostbyname2;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, int, HostEntry*> gethostbyaddr;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, HostEntry*, byte*, nuint, HostEntry**, int*, int> gethostbyname_r;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, HostEntry*, byte*, nuint, HostEntry**, int*, int> gethostbyname2_r;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, int, HostEntry*, byte*, nuint, HostEntry**, int*, int> gethostbyaddr_r;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int> nss_configure_lookup;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, int, byte*, int, int> res_query;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, int, byte*, int, int> res_search;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int, int, byte*, int, int> res_querydomain;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, byte*, int, int> res_send;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, int, byte*, int, int> res_nquery;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, int, byte*, int, int> res_nsearch;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, byte*, int, int, byte*, int, int> res_nquerydomain;
    internal static delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, byte*, int, int> res_nsend;

    internal static void Resolve()
    {
        getaddrinfo = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, AddressHints*, void**, int>)Find("getaddrinfo"u8);
        getaddrinfo_a = (delegate* unmanaged[Cdecl, SuppressGCTransition]<int, void**, int, void*, int>)Find("getaddrinfo_a"u8);
        getnameinfo = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, byte*, uint, byte*, uint, int, int>)Find("getnameinfo"u8);
        gethostbyname = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, HostEntry*>)Find("gethostbyname"u8);
        gethostbyname2 = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, HostEntry*>)Find("gethostbyname2"u8);
        gethostbyaddr = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, int, HostEntry*>)Find("gethostbyaddr"u8);
        gethostbyname_r = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, HostEntry*, byte*, nuint, HostEntry**, int*, int>)Find("gethostbyname_r"u8);
        gethostbyname2_r = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, HostEntry*, byte*, nuint, HostEntry**, int*, int>)Find("gethostbyname2_r"u8);
        gethostbyaddr_r = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, uint, int, HostEntry*, byte*, nuint, HostEntry**, int*, int>)Find("gethostbyaddr_r"u8);
        nss_configure_lookup = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int>)Find("__nss_configure_lookup"u8);
        res_query = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, int, byte*, int, int>)Find("res_query"u8);
        res_search = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, int, byte*, int, int>)Find("res_search"u8);
        res_querydomain = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, byte*, int, int, byte*, int, int>)Find("res_querydomain"u8);
        res_send = (delegate* unmanaged[Cdecl, SuppressGCTransition]<byte*, int, byte*, int, int>)Find("res_send"u8);
        res_nquery = (delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, int, byte*, int, int>)Find("res_nquery"u8);
        res_nsearch = (delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, int, byte*, int, int>)Find("res_nsearch"u8);
        res_nquerydomain = (delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, byte*, int, int, byte*, int, int>)Find("res_nquerydomain"u8);
        res_nsend = (delegate* unmanaged[Cdecl, SuppressGCTransition]<ResolverState*, byte*, int, byte*, int, int>)Find("res_nsend"u8);
    }

    private static void* Find(ReadOnlySpan<byte> name)
    {
        fixed (byte* text = name)
        {
            return Libc.dlsym(Next, text);
        }
    }
}
