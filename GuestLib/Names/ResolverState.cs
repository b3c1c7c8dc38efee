using System.Runtime;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace NetKernel.GuestLib.Names;

/// <summary>
/// struct __res_state of resolv.h: what the C library has read from resolv.conf(5), RES_OPTIONS and LOCALDOMAIN, and what the program has changed since. It is
/// the interface of the res_n* calls, and so stays as it is.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = 568)]
internal unsafe struct ResolverState
{
    internal const int MaxServers = 3, MaxSearch = 6;

    // resolver(3)
    internal const ulong Initialised = 1, UseTcp = 8, IgnoreTruncation = 0x20, DefaultDomain = 0x80, Search = 0x200, NoAliases = 0x1000, Rotate = 0x4000,
        UseEdns = 0x10_0000, Single = 0x20_0000, SingleReopen = 0x40_0000, UseDnssec = 0x80_0000, NoTopLevel = 0x100_0000, TrustAuthentic = 0x400_0000,
        NoAaaa = 0x800_0000;

    /// <summary>h_errno (netdb.h).</summary>
    internal const int NetDbInternal = -1, HostNotFound = 1, TryAgain = 2, NoRecovery = 3, NoData = 4;

    /// <summary>Seconds until the first try is given up.</summary>
    [FieldOffset(0)] internal int Timeout;

    [FieldOffset(4)] internal int Attempts;
    [FieldOffset(8)] internal ulong Options;
    [FieldOffset(16)] internal int Servers;
    [FieldOffset(20)] private fixed byte _addresses4[MaxServers * 16];
    [FieldOffset(72)] private nint _search;
    [FieldOffset(384)] internal ulong DebugFlags;
    [FieldOffset(392)] private uint _dots;
    [FieldOffset(496)] internal int HostError;
    [FieldOffset(536)] private nint _addresses6;

    /// <summary>A name with fewer dots is looked for in the search list first.</summary>
    internal readonly uint Dots => _dots & 15;

    /// <summary>The n-th domain of the search list, or null.</summary>
    internal readonly byte* SearchDomain(int n)
    {
        fixed (nint* list = &_search)
        {
            return n >= MaxSearch ? null : (byte*)list[n];
        }
    }

    /// <summary>The socket address of a server; null when there is none.</summary>
    internal readonly byte* Server(int n, out uint length)
    {
        fixed (byte* four = _addresses4)
        {
            fixed (nint* six = &_addresses6)
            {
                byte* address = four + (n * 16);
                length = 16;
                if (*(ushort*)address == 0 && six[n] != 0)
                {
                    address = (byte*)six[n];
                    length = 28;
                }

                return *(ushort*)address is Abi.AF_INET or Abi.AF_INET6 ? address : null;
            }
        }
    }

    /// <summary>Sets the state's and the thread's h_errno.</summary>
    internal void Fail(int error)
    {
        HostError = error;
        *h_errno_location() = error;
    }

    /// <summary>This thread's state, read again when resolv.conf has changed.</summary>
    internal static ResolverState* Own()
    {
        // Every call that takes no state makes sure of the thread's own; this one does nothing besides.
        byte* query = stackalloc byte[32];
        fixed (byte* root = "."u8)
        {
            _ = res_mkquery(0, root, DnsMessage.ClassIn, DnsMessage.TypeA, null, 0, null, query, 32);
        }

        return (ResolverState*)res_state();
    }

    /// <summary>Writes a query with a random number; its length, or -1 for what is no name.</summary>
    internal static int MakeQuery(ResolverState* state, byte* name, int cls, int type, byte* query, int room) =>
        res_nmkquery(state, 0, name, cls, type, null, 0, null, query, room);

    [RuntimeImport("*", "__h_errno_location"), MethodImpl(MethodImplOptions.InternalCall)]
    internal static extern int* h_errno_location();

    [RuntimeImport("*", "__res_state"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern void* res_state();

    [RuntimeImport("*", "res_mkquery"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int res_mkquery(int op, byte* name, int cls, int type, void* data, int length, void* record, byte* query, int room);

    [RuntimeImport("*", "res_nmkquery"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int res_nmkquery(ResolverState* state, int op, byte* name, int cls, int type, void* data, int length, void* record, byte* query, int room);
}
