using NetKernel.Channel.Host;

namespace NetKernel.Nsm.Mtcp;

/// <summary>The XDP program that gives each queue's frames to its AF_XDP socket. It is attached by a link, so it goes with this process, however that ends.</summary>
internal sealed class XdpRedirect : IDisposable
{
    private const int QueueIndex = 16; // of struct xdp_md
    private const int RedirectMap = 51, XDP_PASS = 2;
    private readonly int _map, _program;
    private int _link = -1;

    private XdpRedirect(int map, int program)
    {
        _map = map;
        _program = program;
    }

    /// <summary>Loads the program, for that many queues.</summary>
    /// <exception cref="InvalidOperationException">The kernel refuses.</exception>
    public static XdpRedirect Make(uint queues)
    {
        int map = Bpf.CreateMap("nk_xsk", Bpf.XskMap, sizeof(uint), sizeof(uint), queues);
        try
        {
            return new XdpRedirect(map, Bpf.LoadProgram("nk_xdp", Bpf.Xdp, Write(map)));
        }
        catch
        {
            _ = Libc.Close(map);
            throw;
        }
    }

    /// <summary>A queue's frames are a socket's.</summary>
    /// <exception cref="InvalidOperationException">The kernel refuses.</exception>
    public void Set(uint queue, int socket)
    {
        Span<byte> key = stackalloc byte[sizeof(uint)], value = stackalloc byte[sizeof(uint)];
        _ = BitConverter.TryWriteBytes(key, queue);
        _ = BitConverter.TryWriteBytes(value, socket);
        Bpf.Update(_map, key, value);
    }

    /// <summary>Attaches it: in the driver if wanted and where that can be, else behind it.</summary>
    /// <exception cref="InvalidOperationException">Neither can be, or another program is there.</exception>
    public void Attach(int index, bool native)
    {
        string problem = "";
        if (native)
        {
            try
            {
                _link = Bpf.AttachXdp(_program, index, Bpf.XdpNative);
                return;
            }
            catch (InvalidOperationException e)
            {
                problem = $"in the driver: {e.Message}; behind it: ";
            }
        }

        try
        {
            _link = Bpf.AttachXdp(_program, index, Bpf.XdpGeneric);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidOperationException(problem + e.Message);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_link >= 0)
        {
            _ = Libc.Close(_link);
        }

        _ = Libc.Close(_program);
        _ = Libc.Close(_map);
    }

    /// <summary>bpf_redirect_map(map, the queue, XDP_PASS): a queue without a socket is the kernel's.</summary>
    private static ulong[] Write(int map)
    {
        BpfAssembler a = new();
        a.Load(4, 2, 1, QueueIndex);
        a.LoadMap(1, map);
        a.Set(3, XDP_PASS);
        a.Call(RedirectMap);
        a.Exit();
        return a.Assemble();
    }
}
