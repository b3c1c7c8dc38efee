using System.Net;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib.Testing;

/// <summary>A guest that the fake CoreEngine stands for: its pool, of which it allocates the TX half.</summary>
public sealed unsafe class FakeGuest : IDisposable
{
    private readonly FakeEngine _engine;
    private readonly Stack<uint>[] _free = [new(), new(), new()];
    private readonly PoolHalf _tx;
    private readonly PoolLayout _layout;
    private readonly string _address4;
    private readonly string _address6;

    internal FakeGuest(FakeEngine engine, uint id, string address4, string address6, PoolLayout layout)
    {
        _engine = engine;
        Id = id;
        _address4 = address4;
        _address6 = address6;
        _layout = layout;
        _tx = layout.TxHalf;
        Pool = SharedRegion.Create("nk-fake-pool", layout.Length);
        for (int k = 0; k < 3; k++)
        {
            for (uint chunk = _tx.FirstOf(k + 1); chunk-- > _tx.FirstOf(k);)
            {
                _free[k].Push(chunk);
            }
        }
    }

    /// <summary>Guest id.</summary>
    public uint Id { get; }

    /// <summary>The pool region.</summary>
    public SharedRegion Pool { get; }

    /// <summary>The pool's layout.</summary>
    public PoolLayout Layout => _layout;

    /// <summary>TX chunks that are free.</summary>
    public int FreeTx => _free.Sum(f => f.Count);

    /// <summary>A new socket, announced to the NSM.</summary>
    public FakeSocket Socket(int domain = Libc.AF_INET, int type = Libc.SOCK_STREAM, int protocol = 0, uint queueSet = 0)
    {
        FakeSocket socket = _engine.NewSocket(this, queueSet);
        socket.Request(RingKind.Job, Op.Socket, opData: (ulong)(uint)domain | ((ulong)(uint)type << 16) | ((ulong)(uint)protocol << 32));
        return socket;
    }

    /// <summary>Whether a chunk for that many bytes is free.</summary>
    public bool HasTx(int size) => _free.Skip(PoolHalf.ClassFor((ulong)size)).Any(f => f.Count > 0);

    /// <summary>Copies data into a TX chunk; false when none is free.</summary>
    public bool TryPut(ReadOnlySpan<byte> data, out ulong offset)
    {
        offset = 0;
        for (int k = PoolHalf.ClassFor((ulong)data.Length); k < 3; k++)
        {
            if (_free[k].TryPop(out uint chunk))
            {
                offset = _tx.OffsetOf(chunk);
                data.CopyTo(new Span<byte>(Pool.Start + offset, data.Length));
                return true;
            }
        }

        return false;
    }

    /// <summary>A Send was completed.</summary>
    public void FreeTxAt(ulong offset)
    {
        if (!_tx.TryFind(offset, 1, out uint chunk))
        {
            throw new InvalidOperationException($"SendDone of {offset:x}, which is no TX chunk");
        }

        _free[_tx.ClassOf(chunk)].Push(chunk);
    }

    /// <summary>Received bytes, checked to lie within one chunk of the RX half.</summary>
    public ReadOnlySpan<byte> RxAt(ulong offset, uint size) => _layout.RxHalf.TryFind(offset, size, out _)
        ? new ReadOnlySpan<byte>(Pool.Start + offset, (int)size)
        : throw new InvalidOperationException($"{size} bytes at {offset:x} are no RX chunk");

    /// <inheritdoc/>
    public void Dispose() => Pool.Dispose();

    internal AttachMessage Describe()
    {
        AttachMessage message = new() { Op = AttachOp.GuestAdded, Guest = Id, Pool = _layout };
        SeqPacket.Put(new Span<byte>(message.Name, 40), $"guest{Id}");
        if (_address4.Length > 0)
        {
            message.Address4 = BitConverter.ToUInt32(IPAddress.Parse(_address4).GetAddressBytes());
        }

        if (_address6.Length > 0)
        {
            byte[] bytes = IPAddress.Parse(_address6).GetAddressBytes();
            message.Address6Low = BitConverter.ToUInt64(bytes, 0);
            message.Address6High = BitConverter.ToUInt64(bytes, 8);
        }

        return message;
    }
}
