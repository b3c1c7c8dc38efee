namespace NetKernel.GuestLib.Names;

/// <summary>Queries over UDP (RFC 1035 section 4.2.1). The socket is connected, so that only the server's own answers come in.</summary>
internal static unsafe class Datagrams
{
    internal static Step Ask(ref Errand errand)
    {
        errand.Forget();
        bool single = errand.Count > 1 && errand.Has(ResolverState.Single | ResolverState.SingleReopen);
        Step opened = Renew(ref errand, out int fd);
        if (opened != Step.Answered)
        {
            return opened;
        }

        bool repeated = false;
        long deadline = 0;
        for (bool send = true; ;)
        {
            if (send)
            {
                if (!Send(ref errand, fd, single))
                {
                    return Step.Next;
                }

                deadline = Libc.Now() + errand.Patience;
                send = false;
            }

            int ready = Errand.Wait(fd, Abi.POLLIN, deadline);
            if (ready < 0)
            {
                return Step.Next;
            }

            if (ready == 0)
            {
                errand.Reached = true;
                if (!errand.AnyAnswered())
                {
                    return Step.Next;
                }

                // One of two is answered: some servers and firewalls lose the second query from one port. Once more, alone, from another port.
                if (repeated)
                {
                    return Step.Answered;
                }

                errand.State->Options |= ResolverState.Single;
                repeated = single = send = true;
                if ((opened = Renew(ref errand, out fd)) != Step.Answered)
                {
                    return opened;
                }

                continue;
            }

            byte* message = errand.Held->Scratch;
            nint got = Exports.Data.Recv(fd, message, DnsMessage.MaxLength, 0);
            if (got < 0)
            {
                if (Libc.Errno is Abi.EAGAIN or Abi.EINTR)
                {
                    continue;
                }

                return Step.Next; // ECONNREFUSED: nobody serves that port
            }

            errand.Reached = true;
            Leg* leg = errand.LegOf(message, (int)got);
            if (leg == null)
            {
                continue; // a late answer to another query, or a forged one
            }

            if (DnsMessage.IsTruncated(message) && !errand.Has(ResolverState.IgnoreTruncation) && !IsRefusal(message))
            {
                return Step.Truncated;
            }

            if (IsRefusal(message) || DnsMessage.IsReferral(message))
            {
                leg->Failed = true;
                leg->Rcode = DnsMessage.ResponseCode(message);
                if (errand.AnyAnswered())
                {
                    return Step.Answered;
                }

                if (errand.AllDone() && errand.State->DebugFlags == 0)
                {
                    return Step.Next;
                }
            }

            if (!leg->Failed || errand.AllDone())
            {
                if (!errand.Keep(leg, message, (int)got))
                {
                    return Step.Impossible;
                }

                leg->Got = leg->Room != 0 && leg->Room < got ? leg->Room : (int)got;
            }

            if (errand.AllDone())
            {
                return Step.Answered;
            }

            if (single)
            {
                send = true;
                if (errand.Has(ResolverState.SingleReopen) && (opened = Renew(ref errand, out fd)) != Step.Answered)
                {
                    return opened;
                }
            }
        }
    }

    private static bool IsRefusal(byte* message) => DnsMessage.ResponseCode(message) is DnsMessage.ServFail or DnsMessage.NotImp or DnsMessage.Refused;

    private static Step Renew(ref Errand errand, out int fd)
    {
        const int SOCK_DGRAM = 2;
        errand.Held->Close();
        return errand.Open(SOCK_DGRAM, out fd);
    }

    // All that waits for an answer, or only the first of it.
    private static bool Send(ref Errand errand, int fd, bool single)
    {
        for (int i = 0; i < errand.Count; i++)
        {
            Leg* leg = &errand.Legs[i];
            if (leg->Got != 0 || leg->Failed)
            {
                continue;
            }

            nint sent;
            while ((sent = Exports.Data.Send(fd, leg->Query, (nuint)leg->QueryLength, Abi.MSG_NOSIGNAL)) < 0 && Libc.Errno is Abi.EINTR or Abi.EAGAIN)
            {
                if (Libc.Errno == Abi.EAGAIN && Errand.Wait(fd, Abi.POLLOUT, Libc.Now() + errand.Patience) <= 0)
                {
                    return false;
                }
            }

            if (sent != leg->QueryLength)
            {
                return false;
            }

            if (single)
            {
                return true;
            }
        }

        return true;
    }
}
