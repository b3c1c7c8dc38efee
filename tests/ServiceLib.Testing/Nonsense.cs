using NetKernel.Channel;

namespace NetKernel.ServiceLib.Testing;

/// <summary>Seeded requests that no honest guest makes, as a CoreEngine with a hole in its checks would pass them on.</summary>
public sealed class Nonsense(int seed, FakeGuest hostile)
{
    private static readonly Op[] Ops =
    [
        Op.None, Op.Socket, Op.Bind, Op.Listen, Op.Connect, Op.GetOption, Op.SetOption, Op.Send, Op.RxCredit, Op.Shutdown, Op.Accept, Op.Decline, Op.Close, Op.Data, Op.Reset, Op.SendDone, (Op)0x7F,
        (Op)0xFF,
    ];

    private readonly ulong[] _places =
    [
        0, 1, PoolLayout.TxOffset, PoolLayout.TxOffset + 2047, hostile.Layout.RxOffset, hostile.Layout.RxOffset - 1, hostile.Layout.Length, hostile.Layout.Length - 1, uint.MaxValue, ulong.MaxValue,
        1ul << 63,
    ];

    public Random Random { get; } = new(seed);

    /// <summary>The next one, mostly of guest 2 and about one of a few sockets.</summary>
    public Nqe Next()
    {
        Nqe e = default;
        e.Op = Ops[Random.Next(Ops.Length)];
        e.Vm = Random.Next(20) == 0 ? (uint)Random.Next(5) * 3 : 2;
        e.Socket = Random.Next(10) == 0 ? (uint)Random.NextInt64(uint.MaxValue) : 5000 + (uint)Random.Next(16);
        e.OpData = Random.Next(3) == 0 ? (ulong)Random.NextInt64() : 2 | (1ul << 16);
        e.DataPtr = Random.Next(3) == 0 ? (ulong)Random.NextInt64() : _places[Random.Next(_places.Length)];
        e.Size = Random.Next(3) == 0 ? (uint)Random.NextInt64(uint.MaxValue) : (uint)Random.Next(4096);
        e.Aux = (ushort)Random.Next();
        e.Flags = (NqeFlags)Random.Next(256);
        if (e.Op == Op.Listen)
        {
            e.OpData &= 0xFF;
        }

        return e;
    }

    /// <summary>The ring that the next one goes into.</summary>
    public RingKind Ring() => Random.Next(2) == 0 ? RingKind.Job : RingKind.Send;
}
