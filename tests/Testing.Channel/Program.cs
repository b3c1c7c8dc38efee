using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Testing;

/// <summary>
/// Run as a program: the other process of a test. "attach SOCKET" and "fork SOCKET SLOT" are a guest's process that does nothing but live until
/// its standard input ends; "ring PID FD SLOTS COUNT" consumes a ring in a memfd and checks the sequence.
/// </summary>
public static unsafe class Program
{
    public static int Main(string[] args)
    {
        switch (args)
        {
            case ["attach", string socket]:
                using (var guest = new FakeGuest(socket, mapPool: false))
                {
                    Console.WriteLine($"ready {guest.Slot}");
                    _ = Console.In.ReadToEnd();
                }

                return 0;
            case ["fork", string socket, string slot]:
                return Fork(socket, uint.Parse(slot));
            case ["ring", string pid, string fd, string slots, string count]:
                return Consume($"/proc/{pid}/fd/{fd}", uint.Parse(slots), uint.Parse(count));
            default:
                Console.Error.WriteLine("not to be run by hand");
                return 2;
        }
    }

    private static int Fork(string socket, uint slot)
    {
        int connection = SeqPacket.Connect(socket);
        int* pipe = stackalloc int[2];
        _ = Libc.Pipe2(pipe, Libc.O_CLOEXEC | Libc.O_NONBLOCK);
        AttachMessage message = default;
        message.Op = AttachOp.ForkAttach;
        message.Slot = slot;
        if (connection < 0 || SeqPacket.Send(connection, message, [pipe[1]]) != 0)
        {
            return 1;
        }

        _ = Libc.Close(pipe[1]);
        Console.WriteLine($"ready {slot}");
        _ = Console.In.ReadToEnd();
        return 0;
    }

    private static int Consume(string path, uint slots, uint count)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        int fd = Libc.Fcntl((int)file.SafeFileHandle.DangerousGetHandle(), 1030, 0);
        using var region = SharedRegion.Open(fd, (RingHeader.BytesFor(slots) + 4095) & ~4095ul);
        var ring = new RingConsumer(region.Start, slots);
        Nqe* batch = stackalloc Nqe[64];
        uint next = 0;
        while (next < count)
        {
            uint n = ring.Dequeue(batch, 64);
            if (ring.IsBroken)
            {
                return 3;
            }

            for (uint i = 0; i < n; i++, next++)
            {
                if (batch[i].OpData != next || batch[i].DataPtr != ~(ulong)next)
                {
                    return 4;
                }
            }

            if (n == 0)
            {
                _ = Libc.Yield();
            }
        }

        return 0;
    }
}
