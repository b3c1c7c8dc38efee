namespace NetKernel.Stack.Tests;

/// <summary>Initial sequence numbers (RFC 6528) and ports (RFC 6056): what a stranger cannot guess, and what must not repeat.</summary>
public sealed unsafe class NumbersTests
{
    /// <summary>RFC 6528, 3: for one pair of endpoints the numbers follow a clock of 4 microseconds, so that an old segment fits no new connection; the hash hides it from others.</summary>
    [Fact]
    public void InitialSequenceNumbers()
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        uint first = Iss(40_000), other = Iss(40_001);
        sim.Pass(4_000_000);
        Assert.Equal(first + 1_000_000, Iss(40_000));
        Assert.Equal(other + 1_000_000, Iss(40_001));

        // Neighbouring ports: all over the space.
        uint[] seen = [.. Enumerable.Range(0, 256).Select(i => Iss((ushort)(41_000 + i)))];
        Assert.Equal(256, seen.Distinct().Count());
        for (int bit = 0; bit < 32; bit++)
        {
            Assert.InRange(seen.Count(iss => (iss >> bit & 1) != 0), 80, 176);
        }

        // Another stack, another secret.
        using Simulation second = new(2);
        Host c = second.Add("198.18.0.1", "2001:2::1"), d = second.Add("198.18.0.2", "2001:2::2");
        second.Pass(sim.Now - second.Now);
        Assert.NotEqual(Iss(42_000), IssOf(c, d, 42_000));

        uint Iss(ushort port) => IssOf(a, b, port);

        static uint IssOf(Host from, Host to, ushort port)
        {
            Conn c = from.NewSocket();
            Assert.Equal(0, from.Tcp.Bind(c.Tcb, from.Address4, port, true, false));
            Assert.Equal(0, from.Tcp.Connect(c.Tcb, from.Address4, to.Address4, 80));
            uint iss = c.Tcb->Iss;
            c.Abort();
            return iss;
        }
    }

    /// <summary>RFC 6056, 3.3.3: no port twice at once, ephemeral ones only, and what one peer sees tells nothing of what another sees.</summary>
    [Fact]
    public void Ports()
    {
        using Simulation sim = new(3);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        ushort[] one = [.. Enumerable.Range(0, 300).Select(_ => Port(80))], two = [.. Enumerable.Range(0, 300).Select(_ => Port(81))];
        Assert.Equal(300, one.Distinct().Count());
        Assert.Equal(300, two.Distinct().Count());
        Assert.All(one.Concat(two), port => Assert.InRange(port, 32768, 60999));
        Assert.NotEqual((ushort)(one[^1] + 1), two[0]);

        // A port that a listener has is not taken.
        Conn listener = a.Listen((ushort)(two[^1] + 1));
        Assert.NotEqual((ushort)(two[^1] + 1), Port(81));
        listener.Close();

        ushort Port(ushort to) => a.Dial(b, to).Tcb->LocalPort;
    }
}
