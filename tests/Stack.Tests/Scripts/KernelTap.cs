using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace NetKernel.Stack.Tests;

/// <summary>
/// A TAP interface in a network namespace of the calling thread's own: whatever this thread opens from now on is the kernel's TCP at one end, and the frames at the other are the test's.
/// </summary>
internal sealed unsafe class KernelTap : IDisposable
{
    private const string Kernel4 = "198.18.0.1", Peer4 = "198.18.0.2", Kernel6 = "2001:2::1", Peer6 = "2001:2::2";
    private const int NewNet = 0x40000000, ReadWriteNonBlocking = 0x802, PollIn = 1;
    private const nuint TunSetIff = 0x400454ca;
    private readonly int _fd;
    private readonly bool _v6;

    public KernelTap(bool v6)
    {
        _v6 = v6;
        Check(Unshare(NewNet), "unshare");
        _fd = Check(Open("/dev/net/tun", ReadWriteNonBlocking), "/dev/net/tun");
        byte* request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes("nko0").CopyTo(new Span<byte>(request, 16));
        *(ushort*)(request + 16) = 0x1002; // IFF_TAP, IFF_NO_PI
        Check(Ioctl(_fd, TunSetIff, request), "TUNSETIFF");
        File.WriteAllText("/proc/sys/net/ipv4/tcp_fastopen", "3");
        File.WriteAllText("/proc/sys/net/ipv4/tcp_no_metrics_save", "1");
        File.WriteAllText("/proc/sys/net/ipv4/tcp_invalid_ratelimit", "0"); // Else the second challenge ACK of a script is held back for half a second.
        Ip("link set lo up");
        Ip($"addr add {Kernel4}/16 dev nko0");
        Ip($"-6 addr add {Kernel6}/64 dev nko0 nodad");
        Ip("link set nko0 address 02:00:00:00:00:01 up");
        Ip($"neigh replace {Peer4} lladdr 02:00:00:00:00:02 dev nko0 nud permanent");
        Ip($"-6 neigh replace {Peer6} lladdr 02:00:00:00:00:02 dev nko0 nud permanent");
        Mac = 0x010000000002;
    }

    public string Kernel => _v6 ? Kernel6 : Kernel4;

    public string Peer => _v6 ? Peer6 : Peer4;

    /// <summary>Station address of the kernel's end, first byte lowest.</summary>
    public ulong Mac { get; }

    public void Inject(byte[] frame)
    {
        fixed (byte* p = frame)
        {
            Check((int)Write(_fd, p, (nuint)frame.Length), "write");
        }
    }

    /// <summary>The next segment that the kernel sends to the peer; null when none comes in that time.</summary>
    public byte[]? Next(int milliseconds)
    {
        byte[] buffer = new byte[65_600];
        long end = Environment.TickCount64 + milliseconds;
        while (true)
        {
            fixed (byte* p = buffer)
            {
                nint got = Read(_fd, p, (nuint)buffer.Length);
                if (got > 0 && PacketScript.IsSegment(buffer.AsSpan(0, (int)got), _v6))
                {
                    return buffer[..(int)got];
                }

                if (got > 0)
                {
                    continue;
                }
            }

            long left = end - Environment.TickCount64;
            if (left < 0)
            {
                return null;
            }

            PollFd poll = new() { Fd = _fd, Events = PollIn };
            _ = Poll(&poll, 1, (int)left + 1);
        }
    }

    public void Dispose() => _ = Close(_fd);

    // Forked from this thread, so that it runs in this thread's namespace.
    private static void Ip(string arguments)
    {
        using Process ip = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
        string text = ip.StandardError.ReadToEnd();
        ip.WaitForExit();
        Assert.True(ip.ExitCode == 0, $"ip {arguments}: {text}");
    }

    private static int Check(int result, string what) =>
        result >= 0 ? result : throw new InvalidOperationException($"{what}: {Marshal.GetLastPInvokeErrorMessage()}");

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Fd;
        public short Events, Returned;
    }

    [DllImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static extern int Unshare(int flags);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Ioctl(int fd, nuint request, void* argument);

    [DllImport("libc", EntryPoint = "read", SetLastError = true)]
    private static extern nint Read(int fd, void* to, nuint length);

    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    private static extern nint Write(int fd, void* from, nuint length);

    [DllImport("libc", EntryPoint = "poll", SetLastError = true)]
    private static extern int Poll(PollFd* fds, ulong count, int timeout);

    [DllImport("libc", EntryPoint = "close", SetLastError = true)]
    private static extern int Close(int fd);
}
