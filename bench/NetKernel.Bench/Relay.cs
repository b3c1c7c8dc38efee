using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.Bench;

/// <summary>
/// The baseline of the switch: another process that takes NQEs from one ring, looks the socket up in a flat table, and puts them into another; both ways;
/// no validation, no counters, no doorbells.
/// </summary>
internal static unsafe class Relay
{
    public const uint GuestSlots = 1024;
    public const uint NsmSlots = 4096;

    /// <summary>Request ring in, request ring out, completion ring in, completion ring out, one after the other.</summary>
    public static ulong Length => (2 * (RingHeader.BytesFor(GuestSlots) + RingHeader.BytesFor(NsmSlots)) + 4095) & ~4095ul;

    public static byte* Ring(SharedRegion region, int ring) => region.Start + ring switch
    {
        0 => 0,
        1 => RingHeader.BytesFor(GuestSlots),
        2 => RingHeader.BytesFor(GuestSlots) + RingHeader.BytesFor(NsmSlots),
        _ => RingHeader.BytesFor(GuestSlots) + (2 * RingHeader.BytesFor(NsmSlots)),
    };

    /// <summary>relay PID FD</summary>
    public static int Serve(string[] args)
    {
        using var file = new FileStream($"/proc/{args[1]}/fd/{args[2]}", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using var region = SharedRegion.Open(Libc.Fcntl((int)file.SafeFileHandle.DangerousGetHandle(), 1030, 0), Length);
        var requests = new RingConsumer(Ring(region, 0), GuestSlots);
        var toNsm = new RingProducer(Ring(region, 1), NsmSlots);
        var completions = new RingConsumer(Ring(region, 2), NsmSlots);
        var toGuest = new RingProducer(Ring(region, 3), GuestSlots);
        uint[] map = new uint[16384];
        uint[] back = new uint[65536];
        for (uint i = 0; i < 16384; i++)
        {
            map[i] = i;
            back[i] = i;
        }

        Console.WriteLine("ready");
        int idle = 0;
        while (true)
        {
            uint n = Move(ref requests, ref toNsm, map) + Move(ref completions, ref toGuest, back);
            if (n != 0)
            {
                idle = 0;
            }
            else if (++idle % 1024 == 0)
            {
                _ = Libc.Yield();
                if (!Directory.Exists($"/proc/{args[1]}"))
                {
                    return 0; // whoever started it is gone
                }
            }
        }
    }

    private static uint Move(ref RingConsumer from, ref RingProducer to, uint[] table)
    {
        Nqe* batch = stackalloc Nqe[64];
        uint n = from.Peek(batch, Math.Min(64, to.Free(64)));
        if (n == 0)
        {
            return 0;
        }

        fixed (uint* flat = table)
        {
            for (uint i = 0; i < n; i++)
            {
                Nqe* slot = to.TryStage();
                *slot = batch[i];
                slot->Socket = flat[batch[i].Socket];
                slot->VmLow = 1;
            }
        }

        from.Release(n);
        to.Publish();
        return n;
    }
}
