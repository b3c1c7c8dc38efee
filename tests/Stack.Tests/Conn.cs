using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests;

/// <summary>A test's socket: what it sends lies in one native buffer, what it received in a list.</summary>
internal sealed unsafe class Conn
{
    private readonly byte* _send = (byte*)NativeMemory.Alloc(1 << 22);
    private long _written, _acked;

    public Conn(Host host, Tcb* t)
    {
        Host = host;
        Tcb = t;
    }

    public Host Host { get; }

    public Tcb* Tcb { get; private set; }

    public int Changes { get; set; }

    public List<byte> Received { get; } = [];

    /// <summary>Bytes that the program takes; what comes beyond waits in the stack.</summary>
    public long Appetite { get; set; } = long.MaxValue;

    /// <summary>Of what was taken, what a program behind this socket has not read.</summary>
    public uint Untaken { get; set; }

    public long InFlight => _written - _acked;

    /// <summary>What arrives is counted, not kept.</summary>
    public bool Discards { get; set; }

    /// <summary>Bytes that arrived.</summary>
    public long Taken { get; private set; }

    /// <summary>There is always more to send.</summary>
    public bool IsEndless { get; set; }

    /// <summary>Writes until the buffer of this test is full.</summary>
    public void Fill()
    {
        long room = (1 << 22) - InFlight;
        if (room > 1 << 16)
        {
            _written += room;
            Host.Tcp.Write(Tcb, (uint)room, more: false);
        }
    }

    public TcpState State => Tcb->State;

    /// <summary>Writes as much as the buffer of this test holds; returns how much.</summary>
    public int Write(ReadOnlySpan<byte> data, bool more = false, int limit = 1 << 22)
    {
        int room = (int)Math.Min(limit - InFlight, data.Length);
        for (int i = 0; i < room; i++)
        {
            _send[(_written + i) & ((1 << 22) - 1)] = data[i];
        }

        _written += room;
        if (room > 0)
        {
            Host.Tcp.Write(Tcb, (uint)room, more);
        }

        return room;
    }

    public void Read(long more)
    {
        Appetite += more;
        Host.Tcp.Pull(Tcb);
    }

    public void Shutdown() => Host.Tcp.Shutdown(Tcb);

    public void Close()
    {
        Host.Sockets.Remove((nint)Tcb);
        Host.Tcp.Detach(Tcb);
        Tcb = null;
    }

    public void Abort()
    {
        Host.Sockets.Remove((nint)Tcb);
        Host.Tcp.Abort(Tcb);
        Tcb = null;
    }

    internal void FreeBuffer() => NativeMemory.Free(_send);

    internal uint Take(byte* data, uint length)
    {
        uint take = (uint)Math.Min(Appetite, length);
        Taken += take;
        if (!Discards)
        {
            Received.AddRange(new ReadOnlySpan<byte>(data, (int)take).ToArray());
        }

        Appetite -= Appetite == long.MaxValue ? 0 : take;
        return take;
    }

    internal void Acked(uint bytes)
    {
        _acked += bytes;
        Assert.True(_acked <= _written, "more acknowledged than written");
        if (IsEndless)
        {
            Fill();
        }
    }

    internal uint Gather(uint offset, uint length, Extent* pieces, uint most, out uint found)
    {
        const int Size = 1 << 22;
        Assert.True(_acked + offset + length <= _written, "sending what was never written");
        uint at = (uint)((_acked + offset) & (Size - 1));
        uint first = Math.Min(length, Size - at);

        // Cut small, so that pieces of odd lengths are tried too.
        uint count = 0;
        found = 0;
        while (found < length && count < most)
        {
            uint here = (at + found) & (Size - 1);
            uint n = Math.Min(Math.Min(length - found, Size - here), 1001);
            pieces[count++] = new Extent { Start = _send + here, Length = n };
            found += n;
        }

        return count;
    }
}
