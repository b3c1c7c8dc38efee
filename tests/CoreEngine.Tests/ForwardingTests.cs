using NetKernel.Channel;
using NetKernel.Testing;

namespace NetKernel.CoreEngine.Tests;

public unsafe class ForwardingTests
{
    [Fact]
    public void A_send_is_stamped_translated_and_answered()
    {
        var (host, nsm, guest) = EngineHost.WithGuest();
        using (host)
        using (nsm)
        using (guest)
        {
            uint id = Make.Connected(guest, nsm, socket: 7);
            Nqe send = Make.Nqe(Op.Send, 7, dataPtr: PoolLayout.TxOffset, size: 100);
            send.Vm = 999; // the guest's own claim
            send.QueueSet = 55;
            guest.Post(0, RingKind.Send, send);
            Nqe seen = nsm.Expect(Op.Send, RingKind.Send);
            Assert.Equal((id, 1u, (byte)0, PoolLayout.TxOffset, 100u), (seen.Socket, seen.Vm, seen.QueueSet, seen.DataPtr, seen.Size));

            using Stats stats = host.Stats();
            ConnectionRow row = stats.Row(id);
            Assert.Equal((100ul, 100u, 1u), (row.BytesSent, row.SendQueue, row.Sends));
            nsm.Post(RingKind.Completion, Make.Nqe(Op.SendDone, id, dataPtr: PoolLayout.TxOffset, size: 100));
            Nqe done = guest.Take(0, RingKind.Completion);
            Assert.Equal((Op.SendDone, 7u, PoolLayout.TxOffset, 100u, 1u), (done.Op, done.Socket, done.DataPtr, done.Size, done.Vm));
            Assert.Equal(0u, stats.Row(id).SendQueue);
        }
    }
}
