using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// syscall(2): what a program asks of the kernel by number. The calls that a socket can be made, used, waited on or closed by are answered as those with a
/// name are (libuv sends datagrams by sendmmsg's number), and those that make processes and start programs; all others go on to the kernel.
/// Numbers are those of x86-64 (asm/unistd_64.h).
/// </summary>
internal static unsafe class SystemCalls
{
    private const int Read = 0, Write = 1, Close = 3, Poll = 7, IoCtl = 16, ReadV = 19, WriteV = 20, Select = 23, Dup = 32, Dup2 = 33, SendFile = 40, Socket = 41,
        Connect = 42, Accept = 43, SendTo = 44, RecvFrom = 45, SendMsg = 46, RecvMsg = 47, Shutdown = 48, Bind = 49, Listen = 50, GetSockName = 51,
        GetPeerName = 52, SetSockOpt = 54, GetSockOpt = 55, Fcntl = 72, EpollCreate = 213, EpollWait = 232, EpollCtl = 233, PSelect6 = 270, PPoll = 271, Splice = 275,
        EpollPWait = 281, Accept4 = 288, EpollCreate1 = 291, Dup3 = 292, RecvMMsg = 299, SendMMsg = 307, CloseRange = 436, EpollPWait2 = 441,
        Clone = 56, Fork = 57, VFork = 58, ExecVE = 59, ExecVEAt = 322, PReadV2 = 327, PWriteV2 = 328, IoUringSetup = 425, IoUringEnter = 426, IoUringRegister = 427,
        Clone3 = 435, PidFdGetFd = 438,
        PivotRoot = 155, ChangeRoot = 161, Unshare = 272, SetNamespace = 308, PrCtl = 157, SecComp = 317;

    private const nint CLONE_VM = 0x100;
    private const int ENOSYS = 38;

    [RuntimeExport("syscall")]
    public static nint SystemCall(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        Real.Ensure();
        return ((Covered((nuint)number >> 6) >> (int)(number & 63)) & 1) != 0 ? Route(number, a, b, c, d, e, f) : Real.syscall(number, a, b, c, d, e, f);
    }

    /// <summary>A bit per number that <see cref="Route"/> knows, 64 at a time: what it does not know (futex, first of all) is not held up.</summary>
    private static ulong Covered(nuint word) => word switch
    {
        0 => 0xFDFFF030099008Bul,
        1 => 0x100ul,
        2 => 0x228000000ul,
        3 => 0x30000200000ul,
        4 => 0x201808190209C000ul,
        5 => 0x184ul,
        6 => 0x2580E0000000000ul,
        _ => 0,
    };

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static nint Route(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        return number switch
        {
            Read => Data.Read((int)a, (void*)b, (nuint)c),
            Write => Data.Write((int)a, (void*)b, (nuint)c),
            ReadV => Data.ReadV((int)a, (IoVec*)b, (int)c),
            WriteV => Data.WriteV((int)a, (IoVec*)b, (int)c),
            SendTo => Data.SendTo((int)a, (void*)b, (nuint)c, (int)d, (void*)e, (uint)f),
            RecvFrom => Data.RecvFrom((int)a, (void*)b, (nuint)c, (int)d, (void*)e, (uint*)f),
            SendMsg => Data.SendMsg((int)a, (MsgHdr*)b, (int)c),
            RecvMsg => Data.RecvMsg((int)a, (MsgHdr*)b, (int)c),
            SendMMsg => Data.SendMMsg((int)a, (MMsgHdr*)b, (uint)c, (int)d),
            RecvMMsg => Data.RecvMMsg((int)a, (MMsgHdr*)b, (uint)c, (int)d, (TimeSpec*)e),
            SendFile => Files.SendFile((int)a, (int)b, (long*)c, (nuint)d),
            Splice => Files.Splice((int)a, (long*)b, (int)c, (long*)d, (nuint)e, (uint)f),
            Socket => Lifecycle.Socket((int)a, (int)b, (int)c),
            Close => Lifecycle.Close((int)a),
            CloseRange => Lifecycle.CloseRange((uint)a, (uint)b, (int)c),
            Dup => Lifecycle.Dup((int)a),
            Dup2 => Lifecycle.Dup2((int)a, (int)b),
            Dup3 => Lifecycle.Dup3((int)a, (int)b, (int)c),
            Fcntl => Lifecycle.Fcntl((int)a, (int)b, c),
            IoCtl => Lifecycle.Ioctl((int)a, (nuint)b, c),
            Connect => Sockets.Connect((int)a, (byte*)b, (uint)c),
            Bind => Sockets.Bind((int)a, (byte*)b, (uint)c),
            Listen => Sockets.Listen((int)a, (int)b),
            Accept => Sockets.Accept4((int)a, (void*)b, (uint*)c, 0),
            Accept4 => Sockets.Accept4((int)a, (void*)b, (uint*)c, (int)d),
            Shutdown => Sockets.Shutdown((int)a, (int)b),
            GetSockName => Sockets.GetSockName((int)a, (void*)b, (uint*)c),
            GetPeerName => Sockets.GetPeerName((int)a, (void*)b, (uint*)c),
            SetSockOpt => Sockets.SetSockOpt((int)a, (int)b, (int)c, (void*)d, (uint)e),
            GetSockOpt => Sockets.GetSockOpt((int)a, (int)b, (int)c, (void*)d, (uint*)e),
            Poll => Waits.Poll((PollFd*)a, (nuint)(uint)b, (int)c),
            PPoll => Waits.PPoll((PollFd*)a, (nuint)(uint)b, (TimeSpec*)c, (void*)d),
            Select => Waits.Select((int)a, (ulong*)b, (ulong*)c, (ulong*)d, (TimeVal*)e),
            PSelect6 => Waits.PSelect((int)a, (ulong*)b, (ulong*)c, (ulong*)d, (TimeSpec*)e, f == 0 ? null : *(void**)f),
            EpollCreate => Waits.EpollCreate((int)a),
            EpollCreate1 => Waits.EpollCreate1((int)a),
            EpollCtl => Waits.EpollCtl((int)a, (int)b, (int)c, (EpollEvent*)d),
            EpollWait => Waits.EpollWait((int)a, (EpollEvent*)b, (int)c, (int)d),
            EpollPWait => Waits.EpollPWait((int)a, (EpollEvent*)b, (int)c, (int)d, (void*)e),
            EpollPWait2 => Waits.EpollPWait2((int)a, (EpollEvent*)b, (int)c, (TimeSpec*)d, (void*)e),
            PReadV2 => Vectors.PReadV2((int)a, (IoVec*)b, (int)c, d, (int)f), // the offset comes in two halves, of which the second counts on 32-bit machines only
            PWriteV2 => Vectors.PWriteV2((int)a, (IoVec*)b, (int)c, d, (int)f),
            PidFdGetFd => Lifecycle.PidFdGetFd((int)a, (int)b, (uint)c),
            ExecVE => Programs.ExecVE((byte*)a, (byte**)b, (byte**)c),
            ExecVEAt => Programs.ExecVEAt((int)a, (byte*)b, (byte**)c, (byte**)d, (int)e),
            Fork or VFork => Forks.ByNumber(Fork, 0, 0, 0, 0, 0), // no function can return twice on one stack
            Clone when (a & CLONE_VM) == 0 && b == 0 => Forks.ByNumber(number, a, b, c, d, e), // with neither memory to share nor a stack: a fork
            Clone3 when a != 0 && b >= 64 && (*(nint*)a & CLONE_VM) == 0 && ((nint*)a)[5] == 0 => Forks.ByNumber(number, a, b, 0, 0, 0), // struct clone_args
            IoUringSetup or IoUringEnter or IoUringRegister when Attaching.IsGuest => Libc.Fail(ENOSYS), // its rings would go past this library
            PrCtl or SecComp => Sandbox.ByNumber(number, a, b, c, d, e, f),
            PivotRoot or ChangeRoot or Unshare or SetNamespace => Roots.ByNumber(number, a, b, c, d, e, f),
            _ => Real.syscall(number, a, b, c, d, e, f),
        };
    }
}
