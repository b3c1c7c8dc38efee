using System.Runtime;
using NetKernel.Channel;

namespace NetKernel.GuestLib.Exports;

/// <summary>The calls that move data between a socket and a file or pipe.</summary>
internal static unsafe class Files
{
    [RuntimeExport("sendfile")]
    public static nint SendFile(int to, int from, long* offset, nuint length)
    {
        Real.Ensure();
        SocketSlot* s = Fds.Ours(to);
        if (s != null)
        {
            return Splicing.SendFile(to, s, from, offset, length);
        }

        // To a pipe it is a splice; nothing else takes data from a socket.
        return Fds.IsDead(to) ? Fds.FailSend(to)
            : (s = Fds.Ours(from)) == null ? Real.sendfile(to, from, offset, length)
            : offset != null ? Libc.Fail(Abi.ESPIPE)
            : Splicing.Splice(from, null, to, null, length, 0);
    }

    [RuntimeExport("sendfile64")]
    public static nint SendFile64(int to, int from, long* offset, nuint length) => SendFile(to, from, offset, length);

    [RuntimeExport("splice")]
    public static nint Splice(int from, long* fromOffset, int to, long* toOffset, nuint length, uint flags)
    {
        Real.Ensure();
        return Fds.Ours(from) != null || Fds.Ours(to) != null ? Splicing.Splice(from, fromOffset, to, toOffset, length, flags)
            : Fds.IsDead(from) || Fds.IsDead(to) ? Libc.Fail(Abi.ECONNRESET)
            : Real.splice(from, fromOffset, to, toOffset, length, flags);
    }
}
