using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <content>What goes to the NSM and comes from it.</content>
internal static unsafe partial class Options
{
    private const int ENOENT = 2, ENODEV = 19;

    /// <summary>Makes a SetOption of an option that the kernel socket has stored.</summary>
    internal static bool TryStored(int fd, int row, Nqe* element)
    {
        ulong value = 0;
        uint length = 8;
        if (row >= OptionTable.Told || Real.getsockopt(fd, OptionTable.LevelOf(row), OptionTable.NameOf(row), &value, &length) != 0)
        {
            return false;
        }

        if (row is OptionTable.SendBuffer or OptionTable.ReceiveBuffer)
        {
            value /= 2; // socket(7): the kernel doubles what is set, and will do so again in the NSM
        }

        Fill(element, OptionTable.LevelOf(row), OptionTable.NameOf(row), value, length);
        return true;
    }

    /// <summary>Writes a SetOption request.</summary>
    internal static void Fill(Nqe* element, int level, int name, ulong value, uint length)
    {
        *element = default;
        element->Op = Op.SetOption;
        element->DataPtr = (uint)level | ((ulong)(uint)name << 32);
        element->OpData = value;
        element->Size = length;
    }

    /// <summary>SO_LINGER with 0 seconds at the NSM: its close sends RST.</summary>
    internal static void ResetAtClose(SocketSlot* s, uint id)
    {
        Nqe element;
        Fill(&element, Abi.SOL_SOCKET, Abi.SO_LINGER, 1, sizeof(ulong));
        element.Socket = id;
        _ = Rings.Send(s, &element, 1);
    }

    /// <summary>Reads an option of the NSM's socket. No other control request may be under way on the socket, a connect among them.</summary>
    internal static int Ask(SocketSlot* s, uint id, int level, int name, void* value, uint* length)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Libc.Fail(Abi.EAGAIN);
        }

        Nqe element = default;
        element.Op = Op.GetOption;
        element.Socket = id;
        element.OpData = (uint)level | ((ulong)(uint)name << 32);
        element.Size = *length > 512 ? 512 : *length;
        int error = Control.Request(s, id, RingKind.Send, &element, 1); // behind what was set before
        error = error != 0 ? error : (int)s->ControlError;
        uint got = (uint)s->ControlData;
        if (error == 0 && got != 0)
        {
            if (Region.Rx.TryFind(s->ControlPtr, got, out _))
            {
                uint n = got < *length ? got : *length;
                if (UserMemory.CanWrite(value, n))
                {
                    _ = Libc.memmove(value, Region.Pool + s->ControlPtr, n);
                    *length = n;
                }
                else
                {
                    error = Abi.EFAULT;
                }

                Nqe credit = default;
                credit.Op = Op.RxCredit;
                credit.Socket = id;
                credit.DataPtr = s->ControlPtr;
                credit.Size = got;
                _ = Rings.Credit(s, &credit, 1, got);
            }
            else
            {
                error = Abi.EIO;
            }
        }
        else if (error == 0)
        {
            *length = 0;
        }

        Locks.Leave(ref s->ControlLock);
        return error == 0 ? 0 : Libc.Fail(error);
    }

    /// <summary>
    /// Tells the NSM of an option that the kernel socket has taken. The first time, and each time when <paramref name="verify"/> is set, its answer is waited for: an NSM that does not
    /// have the option says so to the program. From then on it is told without waiting, in order with the data.
    /// </summary>
    private static int Tell(int fd, SocketSlot* s, int row, bool verify)
    {
        uint status = Volatile.Read(ref s->Status);
        bool wait = (status & (SocketStatus.Connecting | SocketStatus.Reset)) == 0 && (verify || !IsTaken(ref Region.Header->OptionsTaken, row));
        Nqe element = default;
        if (!TryStored(fd, row, &element))
        {
            return Libc.Fail(Abi.ENOPROTOOPT);
        }

        element.Socket = Fds.IdOf(fd);
        int error = 0;
        if (wait)
        {
            error = SetAndWait(fd, s, &element);
            if (error == 0)
            {
                Take(ref Region.Header->OptionsTaken, row);
            }
        }
        else if ((status & (SocketStatus.Known | SocketStatus.Reset)) == SocketStatus.Known)
        {
            _ = Rings.Send(s, &element, 1);
        }

        // While there is no NSM, or for a connection that just ended, there is nobody to ask: the next one is told when the socket is.
        if (error is not (0 or Abi.ENETDOWN or Abi.ECONNRESET or Abi.EAGAIN or Abi.ENOBUFS))
        {
            return Libc.Fail(error);
        }

        Interlocked.Or(ref s->OptionMask, 1ul << row);
        return 0;
    }

    /// <summary>Sends a SetOption, with the socket itself before it if the NSM does not know it, and waits for the answer: an errno.</summary>
    internal static int SetAndWait(int fd, SocketSlot* s, Nqe* option)
    {
        if (!Locks.TryEnter(ref s->ControlLock))
        {
            return Abi.EAGAIN;
        }

        Nqe* elements = stackalloc Nqe[Control.IntroduceMost];
        uint count = Control.Introduce(s, option->Socket, fd, elements);
        elements[count] = *option;
        elements[count].Flags = NqeFlags.Sync;
        int error = Control.Request(s, option->Socket, count == 0 ? RingKind.Send : RingKind.Job, elements, count + 1);
        error = error != 0 ? error : (int)s->ControlError;
        Locks.Leave(ref s->ControlLock);
        return error;
    }

    /// <summary>Whether this guest's NSM has taken that option before. A word of the guest's region: the NSM's epoch above, a bit per row below.</summary>
    internal static bool IsTaken(ref ulong rows, int row)
    {
        ulong word = Volatile.Read(ref rows);
        return word >> 48 == (ushort)Volatile.Read(ref Region.Header->NsmEpoch) && (word & (1ul << row)) != 0;
    }

    internal static void Take(ref ulong rows, int row)
    {
        ulong epoch = (ulong)(ushort)Volatile.Read(ref Region.Header->NsmEpoch) << 48;
        ulong seen = Volatile.Read(ref rows);
        while (true)
        {
            ulong taken = (seen >> 48 == epoch >> 48 ? seen : epoch) | (1ul << row);
            ulong before = Interlocked.CompareExchange(ref rows, taken, seen);
            if (before == seen)
            {
                return;
            }

            seen = before;
        }
    }
}
