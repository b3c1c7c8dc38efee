namespace NetKernel.GuestLib.Names;

/// <summary>Queries over TCP, all on one connection (RFC 1035 section 4.2.2, RFC 7766). Unlike the C library's, no step waits longer than a server may take.</summary>
internal static unsafe class Streams
{
    internal static Step Ask(ref Errand errand)
    {
        errand.Forget();
        errand.Held->Close();
        Step step = errand.Open(Abi.SOCK_STREAM, out int fd);
        if (step != Step.Answered)
        {
            errand.LastError = Libc.Errno;
            return step;
        }

        int error = 0;
        uint length = 4;
        int ready = Errand.Wait(fd, Abi.POLLOUT, Libc.Now() + errand.Patience);
        if (ready <= 0 || Exports.Sockets.GetSockOpt(fd, Abi.SOL_SOCKET, Abi.SO_ERROR, &error, &length) != 0 || error != 0)
        {
            errand.LastError = ready == 0 ? Abi.ETIMEDOUT : error != 0 ? error : Libc.Errno;
            return Step.Next;
        }

        if (!Write(ref errand, fd))
        {
            errand.LastError = Libc.Errno;
            return Step.Next;
        }

        errand.Reached = true;
        while (!errand.AllDone())
        {
            long deadline = Libc.Now() + errand.Patience;
            byte* message = errand.Held->Scratch;
            if (!Read(fd, message, 2, deadline))
            {
                return Lost(ref errand);
            }

            int size = DnsMessage.Get16(message);
            if (size < DnsMessage.HeaderLength || !Read(fd, message, size, deadline))
            {
                return Lost(ref errand);
            }

            Leg* leg = errand.LegOf(message, size);
            if (leg == null)
            {
                continue;
            }

            if (leg->Room != 0 && size > leg->Room)
            {
                DnsMessage.SetTruncated(message);
            }

            if (!errand.Keep(leg, message, size))
            {
                return Step.Impossible;
            }

            leg->Got = size;
        }

        return Step.Answered;
    }

    // The connection broke off: what has come is better than nothing.
    private static Step Lost(ref Errand errand)
    {
        errand.LastError = Libc.Errno;
        return errand.AnyAnswered() ? Step.Answered : Step.Next;
    }

    private static bool Write(ref Errand errand, int fd)
    {
        byte* scratch = errand.Held->Scratch;
        int total = 0;
        for (int i = 0; i < errand.Count; i++)
        {
            Leg* leg = &errand.Legs[i];
            if (leg->QueryLength > (DnsMessage.MaxLength - 2 - total))
            {
                return Fail(90); // EMSGSIZE
            }

            DnsMessage.Put16(scratch + total, leg->QueryLength);
            _ = Libc.memmove(scratch + total + 2, leg->Query, (nuint)leg->QueryLength);
            total += 2 + leg->QueryLength;
        }

        long deadline = Libc.Now() + errand.Patience;
        for (int done = 0; done < total;)
        {
            nint sent = Exports.Data.Send(fd, scratch + done, (nuint)(total - done), Abi.MSG_NOSIGNAL);
            if (sent > 0)
            {
                done += (int)sent;
            }
            else if (sent < 0 && Libc.Errno is not (Abi.EAGAIN or Abi.EINTR))
            {
                return false;
            }
            else if (Errand.Wait(fd, Abi.POLLOUT, deadline) <= 0)
            {
                return Fail(Abi.ETIMEDOUT);
            }
        }

        return true;
    }

    private static bool Read(int fd, byte* to, int count, long deadline)
    {
        for (int done = 0; done < count;)
        {
            int ready = Errand.Wait(fd, Abi.POLLIN, deadline);
            if (ready <= 0)
            {
                return ready == 0 && Fail(Abi.ETIMEDOUT);
            }

            nint got = Exports.Data.Recv(fd, to + done, (nuint)(count - done), 0);
            if (got == 0)
            {
                return Fail(Abi.ECONNRESET);
            }

            if (got < 0 && Libc.Errno is not (Abi.EAGAIN or Abi.EINTR))
            {
                return false;
            }

            done += got < 0 ? 0 : (int)got;
        }

        return true;
    }

    private static bool Fail(int errno)
    {
        Libc.Errno = errno;
        return false;
    }
}
