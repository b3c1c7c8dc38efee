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
        using EchoNsm nsm = new();
        using FakeGuest hostile = nsm.Engine.AddGuest(2);
        Nonsense nonsense = new(seed, hostile);
        FakeSocket neighbour = nsm.Guest.Socket();
        Assert.Equal(0, neighbour.Connect("198.18.0.5", 80));
        for (int i = 0; i < 30_000; i++)
        {
            nsm.Engine.Publish(0, nonsense.Ring(), nonsense.Next());
            _ = nsm.Engine.Pump();
            if (i % 100 == 0)
            {
                byte[] data = new byte[nonsense.Random.Next(1, 5000)];
                nonsense.Random.NextBytes(data);
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
