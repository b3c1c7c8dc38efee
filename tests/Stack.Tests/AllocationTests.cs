using System.Runtime.InteropServices;

namespace NetKernel.Stack.Tests;

/// <summary>After the tables have grown, a connection's life allocates nothing on the managed heap.</summary>
public sealed unsafe class AllocationTests
{
    [Fact]
    public void AConnectionAllocatesNothing()
    {
        using Mirror mirror = new();
        mirror.Run(200); // warm
        long before = GC.GetAllocatedBytesForCurrentThread();
        mirror.Run(200);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
        Assert.Equal(400u, mirror.Ended);
    }

    [Fact]
    public void StateOfAConnectionIsSmall() => Assert.InRange(TcpLayer.BytesPerConnection, 1, 1280);

    /// <summary>One stack that talks to itself: connect, exchange, close.</summary>
    private sealed class Mirror : ILink, ITcpUser, IDisposable
    {
        private readonly NetworkStack _stack;
        private readonly byte* _data = (byte*)NativeMemory.AllocZeroed(1 << 16);
        private readonly Tcb* _listener;
        private readonly Address _address = Host.Parse("198.18.0.1");
        private long _now = 1_000_000;
        private uint _received;

        public Mirror()
        {
            _stack = new NetworkStack(new StackOptions { MaxConnections = 64, MaxTimeWait = 64, MaxSegments = 1024, MaxBlocks = 1024 }, this, new RandomSource(1, 2), _now);
            _stack.Tcp.User = this;
            _stack.AddAddress(_address);
            _listener = _stack.Tcp.Open((void*)1);
            Assert.Equal(0, _stack.Tcp.Bind(_listener, _address, 80, true, false));
            Assert.Equal(0, _stack.Tcp.Listen(_listener, 16));
        }

        public uint Ended { get; private set; }

        public uint Mtu => 1500;

        public ulong Mac => 2;

        public bool FinishesChecksums => false;

        public uint MaxGso => 0;

        public bool Transmit(in OutFrame frame) => true;

        public void Run(int rounds)
        {
            for (int i = 0; i < rounds; i++)
            {
                Tcb* client = _stack.Tcp.Open((void*)1);
                _ = _stack.Tcp.Connect(client, _address, _address, 80);
                Turn();
                Tcb* server = TcpLayer.Accept(_listener);
                server->User = (void*)1;
                _received = 0;
                _stack.Tcp.Write(client, 20_000, more: false);
                while (_received < 20_000)
                {
                    Turn();
                }

                _stack.Tcp.Shutdown(client);
                Turn();
                _stack.Tcp.Shutdown(server);
                Turn();
                _stack.Tcp.Detach(client);
                _stack.Tcp.Detach(server);
                Ended++;
            }
        }

        public void Changed(Tcb* t)
        {
        }

        public uint Receive(Tcb* t, byte* data, uint length)
        {
            _received += length;
            return length;
        }

        public void Acked(Tcb* t, uint bytes)
        {
        }

        public uint Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found)
        {
            *pieces = new Extent { Start = _data + offset, Length = length };
            found = length;
            return 1;
        }

        public void Dispose()
        {
            _stack.Dispose();
            NativeMemory.Free(_data);
        }

        private void Turn()
        {
            _now += 1000;
            _stack.Advance(_now);
            _stack.Flush();
        }
    }
}
