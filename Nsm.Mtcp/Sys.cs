using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>Calls of libc for links. None of those on the data path blocks.</summary>
internal static unsafe class Sys
{
    public const int AF_PACKET = 17, SOCK_RAW = 3, SOL_PACKET = 263, PACKET_VNET_HDR = 15, PACKET_IGNORE_OUTGOING = 23, PACKET_ADD_MEMBERSHIP = 1, PACKET_MR_ALLMULTI = 2, ETH_P_ALL = 3;
    public const int SO_SNDBUFFORCE = 32, SO_RCVBUFFORCE = 33, SO_ATTACH_FILTER = 26, O_RDWR = 2;
    public const nuint TUNSETIFF = 0x400454ca, TUNSETOFFLOAD = 0x400454d0, TUNSETVNETHDRSZ = 0x400454d8, SIOCGIFHWADDR = 0x8927, SIOCGIFMTU = 0x8921,
        SIOCGIFINDEX = 0x8933;

    public static int Errno => Marshal.GetLastPInvokeError();

    [DllImport("libc", EntryPoint = "socket", SetLastError = true)]
    public static extern int Socket(int domain, int type, int protocol);

    [DllImport("libc", EntryPoint = "bind", SetLastError = true)]
    public static extern int Bind(int fd, void* address, uint length);

    [DllImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    public static extern int SetSockOpt(int fd, int level, int name, void* value, uint length);

    [DllImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    public static extern int GetSockOpt(int fd, int level, int name, void* value, uint* length);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static extern int Ioctl(int fd, nuint request, void* argument);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    public static extern int Open(byte* path, int flags);

    [DllImport("libc", EntryPoint = "sendmmsg"), SuppressGCTransition]
    public static extern int SendMMsg(int fd, MMsgHdr* messages, uint count, int flags);

    [DllImport("libc", EntryPoint = "sendto"), SuppressGCTransition]
    public static extern nint SendTo(int fd, void* data, nuint length, int flags, void* address, uint addressLength);

    [DllImport("libc", EntryPoint = "readv"), SuppressGCTransition]
    public static extern nint ReadV(int fd, Libc.IoVec* vectors, int count);

    [DllImport("libc", EntryPoint = "writev"), SuppressGCTransition]
    public static extern nint WriteV(int fd, Libc.IoVec* vectors, int count);
}

/// <summary>struct mmsghdr.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct MMsgHdr
{
    public Libc.MsgHdr Header;
    public uint Length;
}
