using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Bench;

/// <summary>
/// The same by io_uring's raw system calls: a recv is always out on every socket, an answer is submitted together with the next recv (into the socket's other
/// buffer), one io_uring_enter per turn for all of it, polled as the epoll loop polls.
/// </summary>
internal sealed unsafe class UringLoop : ISocketLoop
{
    private const int Setup = 425, Enter = 426, Entries = 256, BufferBytes = 65536, MaxSockets = 128;
    private const byte OpSend = 26, OpRecv = 27;
    private const uint GetEvents = 1;
    private const ulong SendBit = 1ul << 32;

    private readonly bool _echo;
    private readonly int _ring;
    private readonly byte* _sqMap;
    private readonly Sqe* _sqes;
    private readonly Params _params;
    private readonly byte* _buffers = (byte*)NativeMemory.Alloc(2 * MaxSockets, BufferBytes);
    private readonly int[] _fds = new int[MaxSockets];
    private int _count;
    private int _open;
    private uint _toSubmit;
    private long _done;

    public UringLoop(bool echo)
    {
        _echo = echo;
        Params p = default;

        // SINGLE_ISSUER and DEFER_TASKRUN: the fastest setting for one thread that submits and reaps (Linux 6.1); the ring starts disabled, because another thread makes it.
        p.Flags = SingleIssuer | DeferTaskrun | RingDisabled;
        _ring = (int)Libc.Syscall(Setup, Entries, (nint)(&p), 0, 0, 0, 0);
        if (_ring < 0)
        {
            throw new InvalidOperationException("io_uring_setup: " + Libc.Describe(Libc.Errno));
        }

        _params = p;
        nuint bytes = Math.Max(p.SqArray + (p.SqEntries * sizeof(uint)), p.CqCqes + (p.CqEntries * 16));
        _sqMap = (byte*)Libc.Map(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _ring, 0);
        _sqes = (Sqe*)Libc.Map(0, p.SqEntries * (nuint)sizeof(Sqe), Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _ring, 0x10000000);
    }

    private const uint SingleIssuer = 1 << 12, DeferTaskrun = 1 << 13, RingDisabled = 1 << 6;

    public long Done => Volatile.Read(ref _done);

    public void Add(int fd)
    {
        _fds[_count++] = fd;
        _open++;
    }

    public void Run()
    {
        const int Register = 427, EnableRings = 12;
        _ = Libc.Syscall(Register, _ring, EnableRings, 0, 0, 0, 0);
        for (int i = 0; i < _count; i++)
        {
            Stage(OpRecv, BufferBytes, (ulong)i << 1);
        }

        uint* cqHead = (uint*)(_sqMap + _params.CqHead);
        uint* cqTail = (uint*)(_sqMap + _params.CqTail);
        uint cqMask = *(uint*)(_sqMap + _params.CqMask);
        Cqe* cqes = (Cqe*)(_sqMap + _params.CqCqes);
        int idle = 0;
        while (_open > 0)
        {
            // With DEFER_TASKRUN completions appear only inside io_uring_enter with GETEVENTS; wanting none makes it a poll.
            uint wanted = idle < 20 ? 0u : 1;
            uint submitted = _toSubmit;
            _toSubmit = 0;
            _ = wanted == 0
                ? EnterFast(Enter, _ring, (nint)submitted, 0, (nint)GetEvents, 0, 0)
                : Libc.Syscall(Enter, _ring, (nint)submitted, (nint)wanted, (nint)GetEvents, 0, 0);
            uint head = *cqHead;
            uint tail = Volatile.Read(ref *cqTail);
            if (head == tail)
            {
                idle++;
                _ = Libc.Yield();
                continue;
            }

            idle = 0;
            while (head != tail)
            {
                Cqe c = cqes[head++ & cqMask];
                Completed(c.UserData, c.Result);
            }

            Volatile.Write(ref *cqHead, head);
        }
    }

    public void Dispose()
    {
        _ = Libc.Close(_ring);
        NativeMemory.Free(_buffers);
    }

    private void Completed(ulong data, int result)
    {
        if ((data & SendBit) != 0)
        {
            return; // The client waits for the answer before it asks again, so its buffer has long been free when it is wanted.
        }

        if (result <= 0)
        {
            _open--;
            return;
        }

        Volatile.Write(ref _done, _done + result);
        if (_echo)
        {
            Stage(OpSend, (uint)result, data | SendBit);
        }

        Stage(OpRecv, BufferBytes, data ^ 1);
    }

    /// <summary>Data is the socket's index, the buffer in the lowest bit, and whether it is a send.</summary>
    private void Stage(byte op, uint length, ulong data)
    {
        uint* tail = (uint*)(_sqMap + _params.SqTail);
        uint index = *tail & (_params.SqEntries - 1);
        Sqe* e = &_sqes[index];
        *e = default;
        e->Op = op;
        e->Fd = _fds[(uint)data >> 1];
        e->Address = (ulong)(_buffers + ((nuint)(uint)data * BufferBytes));
        e->Length = length;
        e->Flags = Libc.MSG_NOSIGNAL;
        e->UserData = data;
        ((uint*)(_sqMap + _params.SqArray))[index] = index;
        Volatile.Write(ref *tail, *tail + 1);
        _toSubmit++;
    }

    [DllImport("libc", EntryPoint = "syscall"), SuppressGCTransition]
    private static extern nint EnterFast(nint number, nint a, nint b, nint c, nint d, nint e, nint f);

    [StructLayout(LayoutKind.Explicit, Size = 64)]
    private struct Sqe
    {
        [FieldOffset(0)] public byte Op;
        [FieldOffset(4)] public int Fd;
        [FieldOffset(16)] public ulong Address;
        [FieldOffset(24)] public uint Length;
        [FieldOffset(28)] public int Flags;
        [FieldOffset(32)] public ulong UserData;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Cqe
    {
        public ulong UserData;
        public int Result;
        public uint Flags;
    }

    /// <summary>struct io_uring_params.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 120)]
    private struct Params
    {
        [FieldOffset(0)] public uint SqEntries;
        [FieldOffset(4)] public uint CqEntries;
        [FieldOffset(8)] public uint Flags;
        [FieldOffset(40 + 4)] public uint SqTail;
        [FieldOffset(40 + 24)] public uint SqArray;
        [FieldOffset(80)] public uint CqHead;
        [FieldOffset(80 + 4)] public uint CqTail;
        [FieldOffset(80 + 8)] public uint CqMask;
        [FieldOffset(80 + 20)] public uint CqCqes;
    }
}
