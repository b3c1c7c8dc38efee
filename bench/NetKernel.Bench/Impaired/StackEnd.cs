using System.Net;
using NetKernel.Stack;

namespace NetKernel.Bench.Impaired;

/// <summary>Our stack at one end, with no offloads: a program that sends without end, or one that takes what comes and checks it.</summary>
internal sealed unsafe class StackEnd : IEnd, ILink, ITcpUser
{
    private readonly NetworkStack _stack;
    private readonly Queue<byte[]> _out = new();
    private readonly Tcb* _socket;
    private readonly bool _sends;
    private Tcb* _accepted;
    private long _acked, _written;

    public StackEnd(string local, string remote, Path path, bool sends, string congestion)
    {
        Mtu = path.Mtu;
        _sends = sends;
        Address own = Parse(local);
        StackOptions options = new()
        {
            MaxConnections = 16,
            MaxTimeWait = 16,
            MaxSegments = 1 << 16,
            MaxBlocks = 1 << 14,
            Congestion = CongestionControl.Find(congestion)!,
        };
        _stack = new NetworkStack(options, this, new RandomSource(1, sends ? 2u : 3u), System.Diagnostics.Stopwatch.GetTimestamp() / 1000);
        _stack.Tcp.User = this;
        _stack.AddAddress(own);
        _ = _stack.Routes.Add(Parse("198.18.0.0"), 16, default);
        _ = _stack.Routes.Add(Parse("2001:2::"), 64, default);
        _socket = _stack.Tcp.Open((void*)1);
        int error = sends
            ? _stack.Tcp.Connect(_socket, own, Parse(remote), ImpairedBenchmark.Port)
            : _stack.Tcp.Bind(_socket, own, ImpairedBenchmark.Port, true, false) | _stack.Tcp.Listen(_socket, 1);
        if (error != 0)
        {
            throw new InvalidOperationException($"errno {error}");
        }
    }

    public uint Mtu { get; }

    public ulong Mac => _sends ? 0x0A_0000_0000_02ul : 0x0B_0000_0000_02ul;

    public bool FinishesChecksums => false;

    public uint MaxGso => 0;

    /// <summary>Bytes that arrived in order.</summary>
    public long Received { get; private set; }

    /// <summary>Something else arrived than was sent.</summary>
    public bool Wrong { get; private set; }

    public int Take(byte[] to)
    {
        if (!_out.TryDequeue(out byte[]? frame))
        {
            return 0;
        }

        frame.CopyTo(to, 0);
        return frame.Length;
    }

    public void Give(ReadOnlySpan<byte> frame)
    {
        fixed (byte* p = frame)
        {
            InFrame info = default;
            _stack.Receive(p, (uint)frame.Length, in info);
        }
    }

    public void Turn(long now)
    {
        _stack.Advance(now);
        if (!_sends && _accepted == null && (_accepted = TcpLayer.Accept(_socket)) != null)
        {
            _accepted->User = (void*)2;
            _stack.Tcp.Pull(_accepted);
        }

        if (_sends && _socket->State == TcpState.Established && _written - _acked < 8 << 20)
        {
            _stack.Tcp.Write(_socket, 1 << 20, more: false);
            _written += 1 << 20;
        }

        _stack.Flush();
    }

    public bool Transmit(in OutFrame frame)
    {
        byte[] flat = new byte[frame.HeaderLength + frame.PayloadLength];
        new ReadOnlySpan<byte>(frame.Header, (int)frame.HeaderLength).CopyTo(flat);
        int at = (int)frame.HeaderLength;
        for (uint i = 0; i < frame.PayloadCount; i++)
        {
            new ReadOnlySpan<byte>(frame.Payload[i].Start, (int)frame.Payload[i].Length).CopyTo(flat.AsSpan(at));
            at += (int)frame.Payload[i].Length;
        }

        _out.Enqueue(flat);
        return true;
    }

    void ITcpUser.Changed(Tcb* t)
    {
    }

    uint ITcpUser.Receive(Tcb* t, byte* data, uint length)
    {
        Wrong |= !Content.IsRight(new ReadOnlySpan<byte>(data, (int)length), Received);
        Received += length;
        return length;
    }

    void ITcpUser.Acked(Tcb* t, uint bytes) => _acked += bytes;

    uint ITcpUser.Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        // Pinned for ever, and twice as long as the period.
        fixed (byte* p = Content.Bytes)
        {
            *pieces = new Extent { Start = p + ((_acked + offset) % Content.Period), Length = length };
        }

        found = length;
        return 1;
    }

    public void Dispose() => _stack.Dispose();

    private static Address Parse(string text)
    {
        byte[] bytes = IPAddress.Parse(text).GetAddressBytes();
        return bytes.Length == 4 ? Address.V4(BitConverter.ToUInt32(bytes)) : new Address(BitConverter.ToUInt64(bytes, 0), BitConverter.ToUInt64(bytes, 8));
    }
}
