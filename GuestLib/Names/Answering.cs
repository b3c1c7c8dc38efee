namespace NetKernel.GuestLib.Names;

/// <summary>
/// What the C library asks a name service: lookups whose results go into a buffer of its own. The triple of status, errno and h_errno is that of the C library's
/// own service for DNS, case by case.
/// </summary>
internal static unsafe class Answering
{
    /// <summary>enum nss_status of nss.h.</summary>
    internal const int TryAgain = -2, Unavailable = -1, NotFound = 0, Success = 1;

    private const int ENOENT = 2, ERANGE = 34, ENFILE = 23, EAFNOSUPPORT = 97;

    /// <summary>All addresses of a name, IPv4 and IPv6 asked for at once.</summary>
    internal static int Addresses(byte* name, AddressTuple** list, byte* buffer, nuint length, int* error, int* hostError, int* ttl)
    {
        int errno = Libc.Errno;
        ResolverState* state = ResolverState.Own();
        if (!IsHost(state, name))
        {
            *hostError = ResolverState.HostNotFound;
            return NotFound;
        }

        int status;
        Held held;
        Held.Begin(&held);
        Leg* legs = stackalloc Leg[2];
        legs[0] = legs[1] = default;
        int second = (state->Options & ResolverState.NoAaaa) == 0 ? DnsMessage.TypeAaaa : 0;
        if (Lookup.Search(state, name, DnsMessage.ClassIn, DnsMessage.TypeA, second, legs, &held) != 0)
        {
            status = Failed(state, &held, errno, error, hostError);
        }
        else
        {
            AddressTuple** link = list;
            Arena arena = new(buffer, length);
            bool first = true;
            uint life = uint.MaxValue;
            Outcome outcome = Outcome.NoData;
            for (int i = 0; i < 2 && outcome != Outcome.NoRoom; i++)
            {
                if (legs[i].Got != 0 && legs[i].Rcode == DnsMessage.NoError)
                {
                    Outcome one = HostEntries.AddTuples(
                        legs[i].Answer, legs[i].Got, i == 0 ? DnsMessage.TypeA : DnsMessage.TypeAaaa, ref arena, ref link, ref first, ref life);
                    outcome = one == Outcome.NoRoom || outcome == Outcome.NoData || one == Outcome.Found || (one == Outcome.Broken && outcome == Outcome.Useless)
                        ? one : outcome;
                }
            }

            Libc.Errno = errno;
            status = Report(outcome, life, error, hostError, ttl, list: true);
        }

        Held.End(&held);
        return status;
    }

    /// <summary>
    /// The addresses of one family, with the names that led there. <paramref name="canonical"/> may be null. With <paramref name="strict"/> only names that
    /// can be a host's are asked for.
    /// </summary>
    internal static int Host(
        byte* name, int family, bool strict, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError, int* ttl, byte** canonical)
    {
        if (family is not (Abi.AF_INET or Abi.AF_INET6))
        {
            *error = EAFNOSUPPORT;
            *hostError = ResolverState.NoData;
            return Unavailable;
        }

        int errno = Libc.Errno;
        ResolverState* state = ResolverState.Own();
        if (strict && !IsHost(state, name))
        {
            *hostError = ResolverState.HostNotFound;
            return NotFound;
        }

        int type = family == Abi.AF_INET ? DnsMessage.TypeA : DnsMessage.TypeAaaa;
        if (type == DnsMessage.TypeAaaa && (state->Options & ResolverState.NoAaaa) != 0)
        {
            *hostError = ResolverState.NoData;
            return NotFound;
        }

        int status;
        Held held;
        Held.Begin(&held);
        Leg leg = default;
        if (Lookup.Search(state, name, DnsMessage.ClassIn, type, 0, &leg, &held) != 0)
        {
            status = Failed(state, &held, errno, error, hostError);
        }
        else
        {
            Arena arena = new(buffer, length);
            Outcome outcome = HostEntries.Fill(leg.Answer, leg.Got, type, ref arena, entry, out uint life);
            Libc.Errno = errno;
            status = Report(outcome, life, error, hostError, ttl, list: false);
            if (status == Success && canonical != null)
            {
                *canonical = entry->Name;
            }
        }

        Held.End(&held);
        return status;
    }

    /// <summary>The name of an address.</summary>
    internal static int Pointer(
        byte* address, uint addressLength, int family, HostEntry* entry, byte* buffer, nuint length, int* error, int* hostError, int* ttl)
    {
        if (family == Abi.AF_INET6 && addressLength == 16 && IsEmbedded(address))
        {
            address += 12;
            addressLength = 4;
            family = Abi.AF_INET;
        }

        if (!((family == Abi.AF_INET && addressLength == 4) || (family == Abi.AF_INET6 && addressLength == 16)))
        {
            *error = EAFNOSUPPORT;
            *hostError = ResolverState.NetDbInternal;
            return Unavailable;
        }

        int errno = Libc.Errno;
        byte* name = stackalloc byte[ReverseName.Room];
        ReverseName.Write(address, (int)addressLength, name);
        ResolverState* state = ResolverState.Own();
        Held held;
        Held.Begin(&held);
        Leg leg = default;
        int status;
        if (Lookup.Query(state, name, DnsMessage.ClassIn, DnsMessage.TypePtr, 0, &leg, &held) != 0)
        {
            status = Failed(state, &held, errno, error, hostError);
        }
        else
        {
            Arena arena = new(buffer, length);
            Outcome outcome = HostEntries.FillPointer(leg.Answer, leg.Got, address, (int)addressLength, family, ref arena, entry, out uint life);
            Libc.Errno = errno;
            status = Report(outcome, life, error, hostError, ttl, list: false);
        }

        Held.End(&held);
        return status;
    }

    // ::ffff:a.b.c.d and ::a.b.c.d (but not ::1) are a.b.c.d to the reverse tree.
    private static bool IsEmbedded(byte* address) =>
        *(ulong*)address == 0 && (*(uint*)(address + 8) == 0xFFFF_0000 || (*(uint*)(address + 8) == 0 && *(ushort*)(address + 12) != 0));

    private static bool IsHost(ResolverState* state, byte* name)
    {
        const int Room = DnsMessage.HeaderLength + DnsName.MaxWire + 4;
        byte* query = stackalloc byte[Room];
        byte* wire = stackalloc byte[DnsName.MaxWire];
        int length = ResolverState.MakeQuery(state, name, DnsMessage.ClassIn, DnsMessage.TypeA, query, Room);
        return length > 0 && DnsName.Unpack(query, length, DnsMessage.HeaderLength, wire) > 0 && DnsName.IsHost(wire);
    }

    // There is no answer at all.
    private static int Failed(ResolverState* state, Held* held, int errno, int* error, int* hostError)
    {
        *hostError = state->HostError;
        Libc.Errno = errno;
        if (state->HostError != ResolverState.TryAgain)
        {
            return NotFound;
        }

        *error = Abi.EAGAIN;
        switch (held->Error)
        {
            case 3: // ESRCH: no server is configured
                return TryAgain;
            case Abi.EMFILE:
            case ENFILE:
                *error = held->Error;
                *hostError = ResolverState.NetDbInternal;
                return Unavailable;
            case Abi.ETIMEDOUT:
            case Exchange.ECONNREFUSED:
                return Unavailable;
            default:
                return NotFound;
        }
    }

    private static int Report(Outcome outcome, uint life, int* error, int* hostError, int* ttl, bool list)
    {
        switch (outcome)
        {
            case Outcome.Found:
                if (ttl != null && life < (uint)*ttl)
                {
                    *ttl = (int)life;
                }

                *hostError = 0;
                return Success;
            case Outcome.NoRoom:
                *error = ERANGE;
                *hostError = ResolverState.NetDbInternal;
                return TryAgain;
            case Outcome.NoData:
                *hostError = ResolverState.NoData;
                return NotFound;
            case Outcome.NotHost:
                *error = ENOENT;
                *hostError = ResolverState.HostNotFound;
                return NotFound;
            case Outcome.Useless when list:
                *hostError = ResolverState.HostNotFound;
                return NotFound;
            case Outcome.Useless:
                *error = ENOENT;
                *hostError = ResolverState.NoRecovery;
                return TryAgain;
            default:
                *hostError = ResolverState.NoRecovery;
                return Unavailable;
        }
    }
}
