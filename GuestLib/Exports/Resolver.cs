using System.Runtime;
using System.Runtime.CompilerServices;
using NetKernel.GuestLib.Names;

namespace NetKernel.GuestLib.Exports;

/// <summary>resolver(3), under both of its spellings: the calls that send. The others (res_init, res_mkquery, dn_expand ...) stay the C library's.</summary>
internal static unsafe class Resolver
{
    [RuntimeExport("res_nquery")]
    public static int ResNQuery(ResolverState* state, byte* name, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_nquery(state, name, cls, type, answer, room) : Ask(state, name, null, cls, type, answer, room, Kind.Query);
    }

    [RuntimeExport("res_query")]
    public static int ResQuery(byte* name, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_query(name, cls, type, answer, room)
            : Ask(ResolverState.Own(), name, null, cls, type, answer, room, Kind.Query);
    }

    [RuntimeExport("res_nquerydomain")]
    public static int ResNQueryDomain(ResolverState* state, byte* name, byte* domain, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_nquerydomain(state, name, domain, cls, type, answer, room)
            : Ask(state, name, domain, cls, type, answer, room, Kind.Domain);
    }

    [RuntimeExport("res_querydomain")]
    public static int ResQueryDomain(byte* name, byte* domain, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_querydomain(name, domain, cls, type, answer, room)
            : Ask(ResolverState.Own(), name, domain, cls, type, answer, room, Kind.Domain);
    }

    [RuntimeExport("res_nsearch")]
    public static int ResNSearch(ResolverState* state, byte* name, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_nsearch(state, name, cls, type, answer, room) : Ask(state, name, null, cls, type, answer, room, Kind.Search);
    }

    [RuntimeExport("res_search")]
    public static int ResSearch(byte* name, int cls, int type, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_search(name, cls, type, answer, room)
            : Ask(ResolverState.Own(), name, null, cls, type, answer, room, Kind.Search);
    }

    [RuntimeExport("res_nsend")]
    public static int ResNSend(ResolverState* state, byte* query, int length, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_nsend(state, query, length, answer, room) : Send(state, query, length, answer, room);
    }

    [RuntimeExport("res_send")]
    public static int ResSend(byte* query, int length, byte* answer, int room)
    {
        Service.Ensure();
        return !Attaching.IsGuest ? RealNames.res_send(query, length, answer, room) : Send(ResolverState.Own(), query, length, answer, room);
    }

    [RuntimeExport("__res_nquery")]
    public static int ResNQuery2(ResolverState* state, byte* name, int cls, int type, byte* answer, int room) => ResNQuery(state, name, cls, type, answer, room);

    [RuntimeExport("__res_query")]
    public static int ResQuery2(byte* name, int cls, int type, byte* answer, int room) => ResQuery(name, cls, type, answer, room);

    [RuntimeExport("__res_nquerydomain")]
    public static int ResNQueryDomain2(ResolverState* state, byte* name, byte* domain, int cls, int type, byte* answer, int room) =>
        ResNQueryDomain(state, name, domain, cls, type, answer, room);

    [RuntimeExport("__res_querydomain")]
    public static int ResQueryDomain2(byte* name, byte* domain, int cls, int type, byte* answer, int room) =>
        ResQueryDomain(name, domain, cls, type, answer, room);

    [RuntimeExport("__res_nsearch")]
    public static int ResNSearch2(ResolverState* state, byte* name, int cls, int type, byte* answer, int room) => ResNSearch(state, name, cls, type, answer, room);

    [RuntimeExport("__res_search")]
    public static int ResSearch2(byte* name, int cls, int type, byte* answer, int room) => ResSearch(name, cls, type, answer, room);

    [RuntimeExport("__res_nsend")]
    public static int ResNSend2(ResolverState* state, byte* query, int length, byte* answer, int room) => ResNSend(state, query, length, answer, room);

    [RuntimeExport("__res_send")]
    public static int ResSend2(byte* query, int length, byte* answer, int room) => ResSend(query, length, answer, room);

    private enum Kind
    {
        Query,
        Domain,
        Search,
    }

    private static int Ask(ResolverState* state, byte* name, byte* domain, int cls, int type, byte* answer, int room, Kind kind)
    {
        Held held;
        Held.Begin(&held);
        Leg leg = default;
        int result = Prepare(state, &leg, answer, room);
        result = result != 0 ? result : kind switch
        {
            Kind.Query => Lookup.Query(state, name, cls, type, 0, &leg, &held),
            Kind.Domain => Lookup.QueryDomain(state, name, domain, cls, type, 0, &leg, &held),
            _ => Lookup.Search(state, name, cls, type, 0, &leg, &held),
        };
        int errno = held.Error;
        Held.End(&held);
        if (result != 0 && errno != 0)
        {
            Libc.Errno = errno;
        }

        return result == 0 ? leg.Got : -1;
    }

    private static int Send(ResolverState* state, byte* query, int length, byte* answer, int room)
    {
        Held held;
        Held.Begin(&held);
        Leg leg = new() { Query = query, QueryLength = length };
        int result = Prepare(state, &leg, answer, room);
        result = result != 0 ? result : Exchange.Send(state, &leg, 1, &held);
        int errno = Libc.Errno;
        Held.End(&held);
        Libc.Errno = errno;
        return result == 0 ? leg.Got : -1;
    }

    // Answers need room for a header at least; a state that the program has not initialised is.
    private static int Prepare(ResolverState* state, Leg* leg, byte* answer, int room)
    {
        leg->Answer = answer;
        leg->Room = room;
        return room < DnsMessage.HeaderLength ? Libc.Fail(Abi.EINVAL)
            : (state->Options & ResolverState.Initialised) == 0 && res_ninit(state) != 0 ? -1 : 0;
    }

    [RuntimeImport("*", "__res_ninit"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int res_ninit(ResolverState* state);
}
