using System.Net.Sockets;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.Mtcp.Tests;

/// <summary>Requests that no honest guest makes, to a stack that is really there: it survives them, another guest's bytes stay right, and nothing is left.</summary>
public sealed class HostileTests
{
    [Theory]
    [MemberData(nameof(Seeds))]
    public void Nonsense_harms_nobody(int seed)
    {
        if (!KernelPeer.CanRun)
        {
            return;
        }

        using MtcpNsm nsm = new();
        FakeSocket listener = nsm.Listener(out int port);
        using Socket peer = nsm.Dial(MtcpNsm.Address4, port);
        FakeSocket neighbour = listener.Accept(out _);
        using FakeGuest hostile = nsm.Engine.AddGuest(2, MtcpNsm.Other4, MtcpNsm.Other6);
        Nonsense nonsense = new(seed, hostile);
        for (int i = 0; i < 30_000; i++)
        {
            nsm.Engine.Publish(0, nonsense.Ring(), nonsense.Next());
            _ = nsm.Engine.Pump();
            if (i % 500 == 0)
            {
                byte[] data = new byte[nonsense.Random.Next(1, 5000)];
                nonsense.Random.NextBytes(data);
                neighbour.Send(data);
                byte[] got = new byte[data.Length];
                for (int at = 0; at < got.Length;)
                {
                    int n = peer.Receive(got, at, got.Length - at, SocketFlags.None);
                    Assert.NotEqual(0, n);
                    at += n;
                }

                Assert.Equal(data, got);
            }
        }

        nsm.Engine.RemoveGuest(hostile);
        neighbour.Close();
        listener.Close();
        nsm.Engine.Until(() => nsm.Count == 0, "no connection to be left");
    }

    /// <summary>A few, or (NK_LONG) many.</summary>
    public static TheoryData<int> Seeds() => [.. Enumerable.Range(1, Environment.GetEnvironmentVariable("NK_LONG") is { Length: > 0 } ? 60 : 3)];
}
