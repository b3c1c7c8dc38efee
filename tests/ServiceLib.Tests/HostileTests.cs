using NetKernel.Channel;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.ServiceLib.Tests;

/// <summary>Seeded nonsense, as a CoreEngine with a hole in its checks would pass it on: the NSM survives it, and a neighbour's bytes stay right.</summary>
public sealed class HostileTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(20260)]
    [InlineData(777)]
    public void Nonsense_harms_nobody(int seed)
    {
        Random random = new(seed);
        using EchoNsm nsm = new();
        using FakeGuest hostile = nsm.Engine.AddGuest(2);
        FakeSocket neighbour = nsm.Guest.Socket();
        Assert.Equal(0, neighbour.Connect("198.18.0.5", 80));
        Op[] ops = [Op.None, Op.Socket, Op.Bind, Op.Listen, Op.Connect, Op.GetOption, Op.SetOption, Op.Send, Op.RxCredit, Op.Shutdown, Op.Accept,
            Op.Decline, Op.Close, Op.Data, Op.Reset, Op.SendDone, (Op)0x7F, (Op)0xFF];
        ulong[] places = [0, 1, PoolLayout.TxOffset, PoolLayout.TxOffset + 2047, hostile.Layout.RxOffset, hostile.Layout.RxOffset - 1, hostile.Layout.Length,
            hostile.Layout.Length - 1, uint.MaxValue, ulong.MaxValue, 1ul << 63];
        for (int i = 0; i < 30_000; i++)
        {
            Nqe e = default;
            e.Op = ops[random.Next(ops.Length)];
            e.Vm = random.Next(20) == 0 ? (uint)random.Next(5) * 3 : 2;
            e.Socket = random.Next(10) == 0 ? (uint)random.NextInt64(uint.MaxValue) : 5000 + (uint)random.Next(16);
            e.OpData = random.Next(3) == 0 ? (ulong)random.NextInt64() : 2 | (1ul << 16);
            e.DataPtr = random.Next(3) == 0 ? (ulong)random.NextInt64() : places[random.Next(places.Length)];
            e.Size = random.Next(3) == 0 ? (uint)random.NextInt64(uint.MaxValue) : (uint)random.Next(4096);
            e.Aux = (ushort)random.Next();
            e.Flags = (NqeFlags)random.Next(256);
            if (e.Op == Op.Listen)
            {
                e.OpData &= 0xFF;
            }

            nsm.Engine.Publish(0, random.Next(2) == 0 ? RingKind.Job : RingKind.Send, e);
            _ = nsm.Engine.Pump();
            if (i % 100 == 0)
            {
                byte[] data = new byte[random.Next(1, 5000)];
                random.NextBytes(data);
                neighbour.Send(data);
                Assert.Equal(data, neighbour.Receive(data.Length));
            }
        }

        nsm.Engine.RemoveGuest(hostile);
        neighbour.Close();
        nsm.Engine.Until(() => nsm.Count == 0, "no connection to be left");
        Assert.Equal(0, nsm.Stack.Pending);
        Assert.Equal(0, nsm.Stack.Sockets);
    }
}
