using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace NetKernel.Bench.Impaired;

/// <summary>Linux's TCP at one end: a TAP without offloads in a namespace of a thread's own, and a program there on an ordinary socket.</summary>
internal sealed unsafe class KernelEnd : IEnd
{
    private const int NewNet = 0x40000000, ReadWriteNonBlocking = 0x802;
    private readonly Thread _thread;
    private readonly ManualResetEventSlim _ready = new();
    private Exception? _failure;
    private Socket? _listener;
    private volatile Socket? _socket;
    private volatile bool _stop;
    private int _fd = -1;
    private long _received;
    private volatile bool _wrong;

    public KernelEnd(string local, string remote, Path path, bool sends, string congestion)
    {
        _thread = new Thread(() =>
        {
            try
            {
                Open(local, path.Mtu);
                IPAddress own = IPAddress.Parse(local);
                Socket socket = new(own.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                socket.SetRawSocketOption(6, 13, Encoding.ASCII.GetBytes(congestion));
                if (sends)
                {
                    _socket = socket;
                    _ready.Set();
                    Send(socket, IPAddress.Parse(remote));
                }
                else
                {
                    _listener = socket;
                    socket.Bind(new IPEndPoint(own, ImpairedBenchmark.Port));
                    socket.Listen(1);
                    _ready.Set();
                    Receive(socket);
                }
            }
            catch (Exception) when (_stop)
            {
                // The sockets were closed under it.
            }
            catch (Exception e)
            {
                _failure = e;
                _ready.Set();
            }
        })
        { IsBackground = true };
        _thread.Start();
        _ready.Wait();
        Check();
    }

    /// <summary>Bytes that arrived in order.</summary>
    public long Received => Volatile.Read(ref _received);

    /// <summary>Something else arrived than was sent.</summary>
    public bool Wrong => _wrong;

    public int Take(byte[] to)
    {
        fixed (byte* p = to)
        {
            return Math.Max(0, (int)Read(_fd, p, (nuint)to.Length));
        }
    }

    public void Give(ReadOnlySpan<byte> frame)
    {
        fixed (byte* p = frame)
        {
            _ = Write(_fd, p, (nuint)frame.Length);
        }
    }

    public void Turn(long now) => Check();

    public void Dispose()
    {
        _stop = true;
        _socket?.Dispose();
        _listener?.Dispose();
        _ = _thread.Join(TimeSpan.FromSeconds(10));
        _ = Close(_fd);
        _ready.Dispose();
    }

    private void Check()
    {
        if (_failure is { } failure)
        {
            throw new InvalidOperationException(failure.Message, failure);
        }
    }

    private void Send(Socket socket, IPAddress remote)
    {
        socket.Connect(remote, ImpairedBenchmark.Port);
        for (long at = 0; !_stop;)
        {
            at += socket.Send(Content.Bytes, (int)(at % Content.Period), 64 << 10, SocketFlags.None);
        }
    }

    private void Receive(Socket listener)
    {
        Socket socket = listener.Accept();
        _socket = socket;
        byte[] buffer = new byte[256 << 10];
        for (int n; !_stop && (n = socket.Receive(buffer)) > 0;)
        {
            _wrong |= !Content.IsRight(buffer.AsSpan(0, n), _received);
            Volatile.Write(ref _received, _received + n);
        }
    }

    private void Open(string address, uint mtu)
    {
        Demand(Unshare(NewNet), "unshare");
        _fd = Demand(Open("/dev/net/tun", ReadWriteNonBlocking), "/dev/net/tun");
        byte* request = stackalloc byte[40];
        new Span<byte>(request, 40).Clear();
        Encoding.ASCII.GetBytes("nki0").CopyTo(new Span<byte>(request, 16));
        *(ushort*)(request + 16) = 0x1002; // IFF_TAP, IFF_NO_PI
        Demand(Ioctl(_fd, 0x400454ca, request), "TUNSETIFF");
        foreach (string file in new[] { "all/disable_ipv6", "default/disable_ipv6", "nki0/disable_ipv6", "nki0/accept_dad" })
        {
            File.WriteAllText("/proc/sys/net/ipv6/conf/" + file, "0");
        }

        Ip("link set lo up");
        Ip($"link set nki0 mtu {mtu} txqueuelen 1000 up");
        Ip(address.Contains(':', StringComparison.Ordinal) ? $"addr add {address}/64 dev nki0 nodad" : $"addr add {address}/16 dev nki0");
    }

    private static void Ip(string arguments)
    {
        using Process ip = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true })!;
        string text = ip.StandardError.ReadToEnd();
        ip.WaitForExit();
        if (ip.ExitCode != 0)
        {
            throw new InvalidOperationException($"ip {arguments}: {text.Trim()}");
        }
    }

    private static int Demand(int result, string what) =>
        result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), $"{what}: {Marshal.GetLastPInvokeErrorMessage()}");

    [DllImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static extern int Unshare(int flags);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Ioctl(int fd, nuint request, void* argument);

    [DllImport("libc", EntryPoint = "read")]
    private static extern nint Read(int fd, void* to, nuint length);

    [DllImport("libc", EntryPoint = "write")]
    private static extern nint Write(int fd, void* from, nuint length);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int fd);
}
