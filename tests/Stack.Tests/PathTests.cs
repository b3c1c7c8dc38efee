using System.Buffers.Binary;

namespace NetKernel.Stack.Tests;

/// <summary>Paths that carry less than the link, whole transfers: a router that says so (RFC 1191, RFC 8201), one that does not, and the search upwards (RFC 4821).</summary>
public sealed unsafe class PathTests
{
    private const int Ethernet = 14, Timestamps = 12;

    /// <summary>RFC 8201, 4 and RFC 1191, 3: one packet too big, and segments fit; nothing slows down for it.</summary>
    [Theory]
    [InlineData(false, 1400)]
    [InlineData(true, 1400)]
    [InlineData(false, 600)]
    [InlineData(true, 1280)]
    public void ARouterSaysWhatItCarries(bool v6, int mtu)
    {
        using Run run = new(v6);
        run.Router = mtu;
        run.Transfer(1_000_000);
        int headers = v6 ? 60 : 40;
        Assert.Equal((uint)(mtu - headers - Timestamps), run.Info.SndMss);
        Assert.Equal((uint)mtu, run.Info.Pmtu);
        Assert.InRange(run.Told, 1, 10); // the first window
        Assert.Equal(0, run.Info.TotalRto);
        Assert.Equal((uint)int.MaxValue, run.Info.SndSsthresh);
    }

    /// <summary>RFC 8201, 4: who says less than 1,280 is not believed at all.</summary>
    [Fact]
    public void NoRouterCarriesLessThanIPv6Promises()
    {
        using Run run = new(v6: true);
        run.Lies = 500;
        run.Transfer(200_000);
        Assert.Equal(1500u, run.Info.Pmtu);
    }

    /// <summary>RFC 4821, 7: nobody says anything; what the path carries is found, from below, to a few bytes, and probes that are lost are no congestion.</summary>
    [Theory]
    [InlineData(false, 1000)]
    [InlineData(false, 1420)]
    [InlineData(false, 600)]
    [InlineData(true, 1400)]
    public void WhatABlackHoleCarriesIsFound(bool v6, int mtu)
    {
        using Run run = new(v6);
        run.BlackHole = mtu;
        run.Transfer(20_000);
        (TcpInfo found, uint threshold) = (run.Info, run.Threshold);
        Assert.InRange(found.TotalRto, 3, 8);
        run.Transfer(2_000_000);
        int headers = v6 ? 60 : 40;
        Assert.InRange((int)run.Info.SndMss + headers + Timestamps, mtu - 16, mtu);
        Assert.Equal((found.TotalRto, threshold), (run.Info.TotalRto, run.Threshold));
        Assert.InRange(run.Swallowed, 4, 40); // before it was suspected, and the probes

        // It rests, and asks again after ten minutes: the path may have changed.
        int before = run.Swallowed;
        run.Transfer(1_000_000);
        Assert.Equal(before, run.Swallowed);
        run.BlackHole = 0;
        run.Sim.Pass(600_000_000);
        run.Transfer(1_000_000);
        Assert.Equal((uint)(1500 - headers - Timestamps), run.Info.SndMss);
    }

    /// <summary>An outage looks like a black hole: afterwards the first probe shows that it was none.</summary>
    [Fact]
    public void AfterAnOutageSegmentsAreLargeAgain()
    {
        using Run run = new(v6: false);
        run.Transfer(100_000);
        run.BlackHole = 1;
        run.Write(100_000);
        run.Sim.Pass(5_000_000);
        Assert.True(run.Info.SndMss < 1448, "no suspicion");
        run.BlackHole = 0;
        run.Sim.Until(() => run.Done);
        Assert.Equal(1448u, run.Info.SndMss);
        int swallowed = run.Swallowed;
        run.Transfer(1_000_000);
        Assert.Equal(swallowed, run.Swallowed);
    }

    /// <summary>A connection over a path of a few milliseconds.</summary>
    private sealed class Run : IDisposable
    {
        private readonly Host _a;
        private readonly Conn _client;
        private readonly Queue<byte[]> _answers = new();
        private readonly bool _v6;
        private long _toWrite;

        public Run(bool v6)
        {
            _v6 = v6;
            StackOptions Options() => new() { MaxConnections = 16, MaxTimeWait = 16, MaxSegments = 1 << 14, MaxBlocks = 1 << 13 };
            _a = Sim.Add("198.18.0.1", "2001:2::1", Options());
            Host b = Sim.Add("198.18.0.2", "2001:2::2", Options());
            _a.Impairment = new Impairment { Delay = 5_000, Drop = Drops };
            b.Impairment = new Impairment { Delay = 5_000 };
            Conn listener = b.Listen(80, v6);
            _client = _a.Dial(b, 80, v6);
            Sim.Until(() => b.Accept(listener, discard: true) != null);
            Sim.AfterStep = () =>
            {
                while (_answers.TryDequeue(out byte[]? answer))
                {
                    Sim.Inject(_a, answer, good: true);
                }

                if (_toWrite > 0)
                {
                    _toWrite -= _client.Write(new byte[Math.Min(_toWrite, 100_000)]);
                }
            };
        }

        public Simulation Sim { get; } = new(1) { KeepsCapture = false };

        /// <summary>What a router carries that says so, a path that does not (0: everything), and what somebody claims of it.</summary>
        public int Router, BlackHole, Lies;

        public int Told { get; private set; }

        public int Swallowed { get; private set; }

        public TcpInfo Info => _a.Tcp.Info(_client.Tcb);

        /// <summary>ssthresh, bytes.</summary>
        public uint Threshold => _client.Tcb->Ssthresh;

        public bool Done => _toWrite == 0 && _client.InFlight == 0;

        public void Write(int bytes)
        {
            _toWrite = bytes;
            Sim.AfterStep!();
        }

        public void Transfer(int bytes)
        {
            Write(bytes);
            Sim.Until(() => Done);
        }

        public void Dispose() => Sim.Dispose();

        private bool Drops(byte[] frame)
        {
            int length = frame.Length - Ethernet;
            if (Lies != 0 && length > 1300 && Told == 0)
            {
                Told++;
                _answers.Enqueue(TooBig(frame, Lies));
                return false;
            }

            if (Router != 0 && length > Router)
            {
                Told++;
                _answers.Enqueue(TooBig(frame, Router));
                return true;
            }

            bool swallowed = BlackHole != 0 && length > BlackHole;
            Swallowed += swallowed ? 1 : 0;
            return swallowed;
        }

        // RFC 792 with RFC 1191's field, RFC 4443, 3.2: with the front of the packet.
        private byte[] TooBig(byte[] packet, int mtu)
        {
            int header = _v6 ? 40 : 20, quoted = _v6 ? 200 : 28;
            byte[] frame = new byte[Ethernet + header + 8 + quoted];
            packet.AsSpan(6, 6).CopyTo(frame);
            frame[6] = 2;
            packet.AsSpan(12, 2).CopyTo(frame.AsSpan(12));
            Span<byte> ip = frame.AsSpan(Ethernet);
            Span<byte> icmp = ip[header..];
            if (_v6)
            {
                ip[0] = 0x60;
                BinaryPrimitives.WriteUInt16BigEndian(ip[4..], (ushort)(8 + quoted));
                ip[6] = 58;
                ip[7] = 64;
                System.Net.IPAddress.Parse("2001:2::99").GetAddressBytes().CopyTo(ip[8..]);
                packet.AsSpan(Ethernet + 8, 16).CopyTo(ip[24..]);
                icmp[0] = 2;
                BinaryPrimitives.WriteUInt32BigEndian(icmp[4..], (uint)mtu);
            }
            else
            {
                ip[0] = 0x45;
                BinaryPrimitives.WriteUInt16BigEndian(ip[2..], (ushort)(28 + quoted));
                ip[8] = 64;
                ip[9] = 1;
                System.Net.IPAddress.Parse("198.18.0.99").GetAddressBytes().CopyTo(ip[12..]);
                packet.AsSpan(Ethernet + 12, 4).CopyTo(ip[16..]);
                icmp[0] = 3;
                icmp[1] = 4;
                BinaryPrimitives.WriteUInt16BigEndian(icmp[6..], (ushort)mtu);
                BinaryPrimitives.WriteUInt16BigEndian(ip[10..], SumOf(ip[..20]));
            }

            packet.AsSpan(Ethernet, quoted).CopyTo(icmp[8..]);
            if (!_v6)
            {
                BinaryPrimitives.WriteUInt16BigEndian(icmp[2..], SumOf(icmp));
            }

            return frame;
        }

        private static ushort SumOf(ReadOnlySpan<byte> bytes)
        {
            uint sum = 0;
            for (int i = 0; i < bytes.Length; i += 2)
            {
                sum += BinaryPrimitives.ReadUInt16BigEndian(bytes[i..]);
            }

            sum = (sum & 0xFFFF) + (sum >> 16);
            return (ushort)~((sum & 0xFFFF) + (sum >> 16));
        }
    }
}
