using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests;

/// <summary>100,000 connections on which nothing happens: they cost memory, and nothing else.</summary>
public sealed unsafe class IdleTests
{
    private const int Connections = 100_000;
    private const long Hour = 3_600_000_000;

    /// <summary>An hour goes by in which nothing is sent, nothing is due and the owner hears nothing.</summary>
    [Fact]
    public void NothingHappens()
    {
        using Crowd crowd = new(keepAlive: false);
        Assert.Equal((uint)Connections + 1, crowd.Stack.Tcp.Count);
        Assert.Equal(long.MaxValue, crowd.Stack.NextDeadline);
        (ulong frames, int calls) before = (crowd.Stack.Counters.FramesOut, crowd.Calls);
        crowd.Stack.Advance(crowd.Stack.Now + Hour);
        crowd.Stack.Flush();
        Assert.Equal(before, (crowd.Stack.Counters.FramesOut, crowd.Calls));
        Assert.Equal((0u, 0u), crowd.Stack.Tcp.Held);
    }

    /// <summary>With keep-alive (RFC 1122, 4.2.3.6) each has a timer of two hours: until then the wheel turns a handful of times, whatever their number.</summary>
    [Fact]
    public void KeepAliveTimersAreTurnedSeldom()
    {
        using Crowd crowd = new(keepAlive: true);
        long end = crowd.Stack.Now + Hour;
        ulong frames = crowd.Stack.Counters.FramesOut;
        int turns = 0;
        while (crowd.Stack.NextDeadline is var next && next <= end)
        {
            crowd.Stack.Advance(next);
            crowd.Stack.Flush();
            turns++;
            Assert.True(turns < 10_000, "the wheel turns without end");
        }

        Assert.InRange(turns, 0, 200);
        Assert.Equal(frames, crowd.Stack.Counters.FramesOut);

        // And then each asks once.
        crowd.Stack.Advance(crowd.Stack.Now + (2 * Hour) + (Hour / 60));
        crowd.Stack.Flush();
        Assert.InRange(crowd.Stack.Counters.FramesOut - frames, (ulong)Connections, (ulong)Connections + 128);
    }

    /// <summary>A listener with all these connections, made by SYNs and ACKs of a peer that this test plays; a link that leads nowhere.</summary>
    private sealed class Crowd : ILink, ITcpUser, IDisposable
    {
        private readonly Address _local = Host.Parse("198.18.0.1");
        private readonly byte* _frame = (byte*)NativeMemory.AllocZeroed(64);
        private uint _iss;

        public Crowd(bool keepAlive)
        {
            StackOptions options = new() { MaxConnections = Connections + 16, MaxTimeWait = 16, MaxSegments = 1024, MaxBlocks = 1024 };
            Stack = new NetworkStack(options, this, new RandomSource(1, 2), 1_000_000);
            Stack.Tcp.User = this;
            Stack.AddAddress(_local);
            Assert.True(Stack.Routes.Add(Host.Parse("198.18.0.0"), 15, default));
            Tcb* listener = Stack.Tcp.Open((void*)1);
            Stack.Tcp.SetKeepAlive(listener, keepAlive);
            Assert.Equal(0, Stack.Tcp.Bind(listener, _local, 80, true, false));
            Assert.Equal(0, Stack.Tcp.Listen(listener, 128));
            for (int i = 0; i < Connections; i++)
            {
                const int Peers = 64;
                Address peer = Address.V4(198, 19, 0, (byte)(i % Peers));
                ushort port = (ushort)(1024 + (i / Peers));
                if (i < Peers)
                {
                    Introduce(peer);
                }

                Send(peer, port, TcpFlag.Syn, 1, 0);
                Send(peer, port, TcpFlag.Ack, 2, _iss + 1);
                Tcb* t = TcpLayer.Accept(listener);
                Assert.True(t != null, $"connection {i}");
                t->User = (void*)1;
            }

            // What is said of a new address has been said.
            for (int i = 0; i < 5; i++)
            {
                Stack.Advance(Stack.Now + 3_000_000);
                Stack.Flush();
            }
        }

        public NetworkStack Stack { get; }

        public int Calls { get; private set; }

        public uint Mtu => 1500;

        public ulong Mac => 2;

        public bool FinishesChecksums => true;

        public uint MaxGso => 0;

        public bool Transmit(in OutFrame frame)
        {
            // The SYN-ACK's sequence number, behind Ethernet and IPv4.
            _iss = Wire.U32(frame.Header + 14 + 20 + Field.TcpSeq);
            return true;
        }

        public void Changed(Tcb* t) => Calls++;

        public uint Receive(Tcb* t, byte* data, uint length) => length;

        public void Acked(Tcb* t, uint bytes) => Calls++;

        public uint Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
        {
            found = 0;
            return 0;
        }

        public void Dispose()
        {
            Stack.Dispose();
            NativeMemory.Free(_frame);
        }

        private void Introduce(in Address peer)
        {
            new Span<byte>(_frame, 64).Clear();
            NetworkStack.PutMac(_frame, Mac);
            NetworkStack.PutMac(_frame + 6, 4);
            Wire.U16(_frame + 12, Protocol.EtherArp);
            byte* arp = _frame + 14;
            Wire.U32(arp, 0x0001_0800);
            Wire.U16(arp + 4, 0x0604);
            Wire.U16(arp + Field.ArpOperation, 1);
            NetworkStack.PutMac(arp + Field.ArpSenderMac, 4);
            _ = Wire.Put(arp + Field.ArpSenderIp, peer);
            _ = Wire.Put(arp + Field.ArpTargetIp, _local);
            Give(42);
        }

        private void Send(in Address peer, ushort port, byte flags, uint seq, uint ack)
        {
            new Span<byte>(_frame, 64).Clear();
            NetworkStack.PutMac(_frame, Mac);
            NetworkStack.PutMac(_frame + 6, 4);
            Wire.U16(_frame + 12, Protocol.EtherIpv4);
            byte* ip = _frame + 14, tcp = ip + 20;
            ip[0] = 0x45;
            Wire.U16(ip + Field.V4Total, 40);
            ip[Field.V4Ttl] = 64;
            ip[Field.V4Protocol] = Protocol.Tcp;
            _ = Wire.Put(ip + Field.V4Source, peer);
            _ = Wire.Put(ip + Field.V4Destination, _local);
            *(ushort*)(ip + Field.V4Checksum) = Checksum.Finish(Checksum.Sum(ip, 20));
            Wire.U16(tcp, port);
            Wire.U16(tcp + 2, 80);
            Wire.U32(tcp + Field.TcpSeq, seq);
            Wire.U32(tcp + Field.TcpAck, ack);
            tcp[Field.TcpOffset] = 5 << 4;
            tcp[Field.TcpFlags] = flags;
            Wire.U16(tcp + Field.TcpWindow, 65535);
            Give(54);
        }

        private void Give(uint length)
        {
            InFrame info = new() { ChecksumGood = true };
            Stack.Receive(_frame, length, in info);
            Stack.Flush();
        }
    }
}
