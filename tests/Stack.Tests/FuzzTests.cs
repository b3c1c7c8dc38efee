namespace NetKernel.Stack.Tests;

/// <summary>Hostile input: nothing that comes from the wire breaks the stack, and connections of others go on.</summary>
public sealed unsafe class FuzzTests
{
    /// <summary>Frames of a real exchange, changed at random, go into live stacks next to the true ones; the exchange still ends well.</summary>
    [Theory]
    [MemberData(nameof(Seeds))]
    public void MutatedFramesDoNoHarm(int seed)
    {
        using Simulation sim = new(seed);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(30_000, 1), TransferTests.Bytes(30_000, 2), v6: seed % 2 == 0);
        List<byte[]> corpus = [.. sim.Capture.Select(c => c.Frame), .. Others(a, b)];
        Random random = new(seed);
        Conn listener = b.Listen(80);
        Conn listener6 = b.Listen(80, v6: true);
        for (int i = 0; i < 60_000; i++)
        {
            byte[] frame = (byte[])corpus[random.Next(corpus.Count)].Clone();
            for (int n = random.Next(1, 6); n > 0; n--)
            {
                switch (random.Next(5))
                {
                    case 0:
                        Array.Resize(ref frame, random.Next(frame.Length + 1));
                        break;
                    case 1 when frame.Length > 0:
                        frame[random.Next(frame.Length)] = (byte)random.Next(256);
                        break;
                    case 2 when frame.Length > 0:
                        frame[random.Next(frame.Length)] ^= (byte)(1 << random.Next(8));
                        break;
                    case 3 when frame.Length > 60:
                        frame[random.Next(14, 60)] = random.Next(2) == 0 ? (byte)0xFF : (byte)0;
                        break;
                    default:
                        break;
                }
            }

            // Half of them with checksums made right, so that they get past them.
            Host to = random.Next(2) == 0 ? a : b;
            if (random.Next(2) == 0 && frame.Length >= 34 && frame[12] == 8 && frame[13] == 0)
            {
                fixed (byte* p = frame)
                {
                    int header = (frame[14] & 15) * 4;
                    if (14 + header <= frame.Length && header >= 20)
                    {
                        *(ushort*)(p + 24) = 0;
                        *(ushort*)(p + 24) = Checksum.Finish(Checksum.Sum(p + 14, (uint)header));
                    }
                }
            }

            sim.Inject(to, frame, good: random.Next(4) != 0);
            if (i % 500 == 0)
            {
                sim.Pass(random.Next(2_000_000));
                while (b.Accept(listener) is { } got)
                {
                    got.Abort();
                }
            }
        }

        sim.Pass(10_000_000);
        listener.Close();
        listener6.Close();
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(100_000, 3), TransferTests.Bytes(100_000, 4), v6: false);
    }

    /// <summary>RFC 4987: a flood costs no more than the backlog, and an honest client still gets through.</summary>
    [Fact]
    public void SynFlood()
    {
        using Simulation sim = new(1);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(1000, 1), TransferTests.Bytes(1000, 1), v6: false);
        byte[] syn = sim.Capture.First(c => c.Frame[12] == 8 && c.Frame[13] == 0 && c.Frame[47] == TcpFlag.Syn).Frame;
        Conn listener = b.Listen(80, backlog: 64);
        Random random = new(1);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] frame = (byte[])syn.Clone();
            frame[28] = (byte)random.Next(256); // source address
            frame[29] = (byte)random.Next(2, 256);
            frame[34] = (byte)random.Next(1, 256); // source port
            frame[38] = (byte)random.Next(256);
            fixed (byte* p = frame)
            {
                *(ushort*)(p + 24) = 0;
                *(ushort*)(p + 24) = Checksum.Finish(Checksum.Sum(p + 14, 20));
            }

            sim.Inject(b, frame, good: true);
        }

        Assert.InRange(b.Tcp.Count, 1u, 66u);
        Assert.True(b.Stack.Counters.CookiesSent > 10_000);
        Conn client = a.Dial(b, 80);
        Conn? server = null;
        sim.Until(() => (server ??= b.Accept(listener)) != null, 30_000_000);
        Assert.Equal(client.Tcb->Local, server!.Tcb->Remote);
        Assert.Equal(1ul, b.Stack.Counters.CookiesTaken);
    }

    /// <summary>
    /// A flood of SYNs and blind resets, data and SYNs at guessed numbers, while a connection carries data both ways and new ones are made: they go on, memory stays bounded, and
    /// afterwards nothing is left.
    /// </summary>
    [Fact]
    public void AnAttackDisturbsNobody()
    {
        using Simulation sim = new(9);
        Host a = sim.Add("198.18.0.1", "2001:2::1"), b = sim.Add("198.18.0.2", "2001:2::2");
        TransferTests.Exchange(sim, a, b, TransferTests.Bytes(1000, 1), TransferTests.Bytes(1000, 1), v6: false);
        byte[] syn = sim.Capture.First(c => c.Frame[12] == 8 && c.Frame[13] == 0 && c.Frame[47] == TcpFlag.Syn).Frame;
        byte[] data = sim.Capture.First(c => c.Frame.Length > 1000 && c.Frame[29] == 1).Frame;
        Conn victim = b.Listen(90, backlog: 64);
        Random random = new(2);
        long attacks = 0, last = 0;
        uint most = 0;
        sim.KeepsCapture = false;
        sim.AfterStep = () =>
        {
            if (sim.Now - last < 200)
            {
                return; // Five bursts per millisecond: what they bring about is a step of its own.
            }

            last = sim.Now;
            for (int i = 0; i < 300; i++, attacks++)
            {
                // From anywhere to the listener, or as if from a to the connection that is open, ports known.
                bool flood = random.Next(2) == 0;
                byte[] frame = (byte[])(flood || random.Next(2) == 0 ? syn : data).Clone();
                Conn? target = flood ? null : b.Sockets.Values.FirstOrDefault(c => c.Tcb->State == TcpState.Established);
                if (target == null)
                {
                    frame[28] = (byte)random.Next(1, 256);
                    frame[29] = (byte)random.Next(3, 256);
                    frame[34] = (byte)random.Next(1, 256);
                    frame[36] = 0;
                    frame[37] = 90;
                }
                else
                {
                    fixed (byte* p = frame)
                    {
                        Wire.U16(p + 34, target.Tcb->RemotePort);
                        Wire.U16(p + 36, target.Tcb->LocalPort);
                    }

                    frame[47] = random.Next(3) switch { 0 => TcpFlag.Rst, 1 => TcpFlag.Syn, _ => frame[47] };
                }

                random.NextBytes(frame.AsSpan(38, 8)); // sequence number and acknowledgement
                fixed (byte* p = frame)
                {
                    *(ushort*)(p + 24) = 0;
                    *(ushort*)(p + 24) = Checksum.Finish(Checksum.Sum(p + 14, 20));
                }

                sim.Inject(b, frame, good: true);
            }

            most = Math.Max(most, b.Tcp.Count);
        };
        for (int round = 0; round < 3; round++)
        {
            // New connections to another port, and bulk on them.
            Conn listener = b.Listen(80);
            Conn client = a.Dial(b, 80);
            Conn? server = null;
            sim.Until(() => (server ??= b.Accept(listener)) != null, what: "a connection under attack");
            byte[] forth = TransferTests.Bytes(300_000, round), back = TransferTests.Bytes(200_000, round + 10);
            Assert.Equal(forth.Length, client.Write(forth));
            Assert.Equal(back.Length, server!.Write(back));
            sim.Until(() => server.Received.Count == forth.Length && client.Received.Count == back.Length, what: "bulk under attack");
            Assert.True(forth.AsSpan().SequenceEqual(server.Received.ToArray()) && back.AsSpan().SequenceEqual(client.Received.ToArray()));
            Assert.Equal((0, 0), (client.Tcb->Error, server.Tcb->Error));
            client.Abort();
            server.Abort();
            listener.Close();
        }

        sim.AfterStep = null;
        Assert.True(attacks > 5_000, $"{attacks} attacks");
        Assert.True(most <= 64 + 16, $"{most} connections");
        Assert.True(b.Stack.Counters.CookiesSent > 1000);
        victim.Close();
        sim.Pass(400_000_000);
        Assert.Equal((0u, (0u, 0u)), (b.Tcp.Count, b.Tcp.Held));
    }

    /// <summary>Seeds of the mutation: a few, or (NK_LONG) many; from NK_FUZZ_FIRST on, so that a longer run can be made of pieces.</summary>
    public static TheoryData<int> Seeds()
    {
        TheoryData<int> seeds = [];
        int first = int.TryParse(Environment.GetEnvironmentVariable("NK_FUZZ_FIRST"), out int given) ? given : 1;
        int count = Environment.GetEnvironmentVariable("NK_LONG") is { Length: > 0 } ? 300 : 8;
        for (int i = first; i < first + count; i++)
        {
            seeds.Add(i);
        }

        return seeds;
    }

    private static IEnumerable<byte[]> Others(Host a, Host b)
    {
        // An echo request, a fragment, an ICMP error, IPv6 with extension headers, discovery; the checksums do not matter here.
        string to = Convert.ToHexString(BitConverter.GetBytes(b.Mac).AsSpan(0, 6)), from = Convert.ToHexString(BitConverter.GetBytes(a.Mac).AsSpan(0, 6));
        string v4 = "C6120001C6120002", v6 = "20010002000000000000000000000001" + "20010002000000000000000000000002";
        yield return Convert.FromHexString(to + from + "0800" + "4500002400010000400100" + "00" + v4 + "0800000000010001" + "0001020304050607");
        yield return Convert.FromHexString(to + from + "0800" + "4500002C00012000400600" + "00" + v4 + "0050005000000000000000005002FFFF00000000" + "00010203");
        yield return Convert.FromHexString(to + from + "0800" + "4500003800010000400100" + "00" + v4 + "0304000000000500" + "4500002800010000400600" + "00" + "C6120002C6120001" + "0050C00000000001");
        yield return Convert.FromHexString(to + from + "86DD" + "60000000002000FF" + v6 + "3C00010400000000" + "06000104000000000050005000000000");
        yield return Convert.FromHexString(to + from + "86DD" + "6000000000182C40" + v6 + "0600000100000001" + "00500050000000000000000050020000");
        yield return Convert.FromHexString(to + from + "86DD" + "6000000000203AFF" + v6 + "8700000000000000" + "20010002000000000000000000000002" + "0101020000000001");
    }
}
