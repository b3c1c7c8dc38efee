namespace NetKernel.GuestLib.Names;

/// <summary>
/// Asking for a name, by the rules of resolver(3) and resolv.conf(5): as it is, or with the domains of the search list. On failure the resolver state says why
/// in its h_errno.
/// </summary>
internal static unsafe class Lookup
{
    /// <summary>Room for a query of one name with an OPT record.</summary>
    private const int QueryRoom = 320;

    private const int MostPayload = 1200; // RESOLV_EDNS_BUFFER_SIZE: what passes unfragmented

    /// <summary>Asks for exactly this name. 0 with an answer in a leg that has records, or -1.</summary>
    internal static int Query(ResolverState* state, byte* name, int cls, int type, int secondType, Leg* legs, Held* held)
    {
        int count = secondType == 0 ? 1 : 2;
        byte* queries = stackalloc byte[2 * QueryRoom];
        for (int i = 0; i < count; i++)
        {
            Leg* leg = &legs[i];
            leg->Got = leg->Rcode = 0;
            leg->Failed = false;
            leg->Query = queries + (i * QueryRoom);
            leg->QueryLength = ResolverState.MakeQuery(state, name, cls, i == 0 ? type : secondType, leg->Query, QueryRoom);
            if (leg->QueryLength < 0)
            {
                state->Fail(ResolverState.NoRecovery);
                return -1;
            }

            if ((state->Options & (ResolverState.UseEdns | ResolverState.UseDnssec)) != 0)
            {
                int payload = leg->Room == 0 || leg->Room > MostPayload ? MostPayload
                    : leg->Room < DnsMessage.MaxPlainDatagram ? DnsMessage.MaxPlainDatagram : leg->Room;
                leg->QueryLength = DnsMessage.AddOpt(leg->Query, leg->QueryLength, QueryRoom, payload, (state->Options & ResolverState.UseDnssec) != 0);
            }
        }

        if (count == 2 && DnsMessage.Id(legs[0].Query) == DnsMessage.Id(legs[1].Query))
        {
            legs[1].Query[1] ^= 1;
        }

        held->Error = 0;
        if (Exchange.Send(state, legs, count, held) != 0)
        {
            held->Error = Libc.Errno;
            state->Fail(ResolverState.TryAgain);
            return -1;
        }

        bool useful = false;
        for (int i = 0; i < count; i++)
        {
            useful |= HasRecords(&legs[i]);
        }

        if (useful)
        {
            return 0;
        }

        int rcode = count == 2 && legs[0].Rcode == DnsMessage.NoError ? legs[1].Rcode : legs[0].Rcode;
        state->Fail(rcode switch
        {
            DnsMessage.NoError => ResolverState.NoData,
            DnsMessage.NxDomain => ResolverState.HostNotFound,
            DnsMessage.ServFail => ResolverState.TryAgain,
            _ => ResolverState.NoRecovery,
        });
        return -1;
    }

    /// <summary>Whether there is an answer with records in it.</summary>
    internal static bool HasRecords(Leg* leg) => leg->Got >= DnsMessage.HeaderLength && leg->Rcode == DnsMessage.NoError && DnsMessage.Answers(leg->Answer) > 0;

    /// <summary>Asks for a name in a domain; null: for the name as it is, without a dot at its end.</summary>
    internal static int QueryDomain(ResolverState* state, byte* name, byte* domain, int cls, int type, int secondType, Leg* legs, Held* held)
    {
        byte* joined = stackalloc byte[DnsName.MaxText];
        int n = Length(name);
        int d = domain == null ? 0 : Length(domain);
        if ((n == 0 && domain == null) || n + 1 + d >= DnsName.MaxText)
        {
            state->Fail(ResolverState.NoRecovery);
            return -1;
        }

        _ = Libc.memmove(joined, name, (nuint)n);
        if (domain != null)
        {
            joined[n++] = (byte)'.';
            _ = Libc.memmove(joined + n, domain, (nuint)d);
            n += d;
        }
        else if (joined[n - 1] == '.')
        {
            n--;
        }

        joined[n] = 0;
        return Query(state, joined, cls, type, secondType, legs, held);
    }

    /// <summary>Asks for a name and, where the rules say so, for the name in each domain of the search list.</summary>
    internal static int Search(ResolverState* state, byte* name, int cls, int type, int secondType, Leg* legs, Held* held)
    {
        uint dots = 0;
        int length = 0;
        for (; name[length] != 0; length++)
        {
            dots += name[length] == '.' ? 1u : 0;
        }

        bool whole = length > 0 && name[length - 1] == '.';
        byte* alias = stackalloc byte[DnsName.MaxText];
        if (dots == 0 && (state->Options & ResolverState.NoAliases) == 0 && HostAliases.Find(name, length, alias))
        {
            return Query(state, alias, cls, type, secondType, legs, held);
        }

        state->Fail(ResolverState.HostNotFound); // when there is nothing to ask
        int asItIs = -1;
        if (dots >= state->Dots || whole)
        {
            if (QueryDomain(state, name, null, cls, type, secondType, legs, held) == 0)
            {
                return 0;
            }

            if (whole)
            {
                return -1;
            }

            asItIs = state->HostError;
        }

        bool noData = false;
        bool serverFailed = false;
        bool searched = false;
        bool root = false;
        bool all = (state->Options & ResolverState.Search) != 0;
        if (dots == 0 ? (state->Options & ResolverState.DefaultDomain) != 0 : all)
        {
            SearchList list = new() { State = state };
            byte* room = stackalloc byte[SearchLine.MaxDomain + 1];
            for (byte* domain; (domain = list.Next(room)) != null;)
            {
                searched = true;
                root |= *domain == 0;
                if (QueryDomain(state, name, domain, cls, type, secondType, legs, held) == 0)
                {
                    return 0;
                }

                if (held->Error == Exchange.ECONNREFUSED)
                {
                    return -1; // no server is there
                }

                noData |= state->HostError == ResolverState.NoData;
                bool failed = state->HostError == ResolverState.TryAgain && legs[0].Rcode == DnsMessage.ServFail;
                serverFailed |= failed;
                if (!(failed || state->HostError is ResolverState.NoData or ResolverState.HostNotFound) || !all)
                {
                    break;
                }
            }
        }

        if ((dots != 0 || !searched || (state->Options & ResolverState.NoTopLevel) == 0) && asItIs < 0 && !root)
        {
            if (QueryDomain(state, name, null, cls, type, secondType, legs, held) == 0)
            {
                return 0;
            }
        }

        if (asItIs >= 0)
        {
            state->Fail(asItIs);
        }
        else if (noData)
        {
            state->Fail(ResolverState.NoData);
        }
        else if (serverFailed)
        {
            state->Fail(ResolverState.TryAgain);
        }

        return -1;
    }

    private static int Length(byte* text)
    {
        int n = 0;
        while (n < DnsName.MaxText && text[n] != 0)
        {
            n++;
        }

        return n;
    }
}
