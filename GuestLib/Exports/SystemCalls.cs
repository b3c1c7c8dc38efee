using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// syscall(2): what a program asks of the kernel by number. The calls that a socket can be made, used, waited on or closed by are answered as those with a
/// name are (libuv sends datagrams by sendmmsg's number); all others go on to the kernel.
/// </summary>
internal static unsafe class SystemCalls
{
    private const int Read = 0, Write = 1, Close = 3, Poll = 7, IoCtl = 16, ReadV = 19, WriteV = 20, Select = 23, Dup = 32, Dup2 = 33, SendFile = 40, Socket = 41,
        Connect = 42, Accept = 43, SendTo = 44, RecvFrom = 45, SendMsg = 46, RecvMsg = 47, Shutdown = 48, Bind = 49, Listen = 50, GetSockName = 51,
        GetPeerName = 52, SetSockOpt = 54, GetSockOpt = 55, Fcntl = 72, EpollCreate = 213, EpollWait = 232, EpollCtl = 233, PSelect6 = 270, PPoll = 271, Splice = 275,
        EpollPWait = 281, Accept4 = 288, EpollCreate1 = 291, Dup3 = 292, RecvMMsg = 299, SendMMsg = 307, CloseRange = 436, EpollPWait2 = 441;

    [RuntimeExport("syscall")]
    public static nint SystemCall(nint number, nint a, nint b, nint c, nint d, nint e, nint f)
    {
        Real.Ensure();
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
            _ => Real.syscall(number, a, b, c, d, e, f),
        };
    }
}
