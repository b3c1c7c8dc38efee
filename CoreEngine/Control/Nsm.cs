using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>An NSM as the control thread knows it: announced, and perhaps attached.</summary>
internal sealed unsafe class Nsm(uint id, string name)
{
    private SharedRegion? _region;
    private int _bell = -1;
    private uint _turnsSeen = uint.MaxValue;
    private uint _missed;

    public uint Id { get; } = id;

    public string Name { get; } = name;

    /// <summary>Its connection while it is attached.</summary>
    public EnginePeer? Peer { get; private set; }

    /// <summary>Requests that it has not answered yet, in order.</summary>
    public List<(AttachOp Op, uint Guest)> Asked { get; } = [];

    public NsmPort[] Ports { get; private set; } = [];

    public int[] Bells { get; private set; } = [];

    /// <summary>
    /// How often in a row it was found not to have turned since the look before. Each look rings its bell: whoever sleeps turns for that, and whoever does not for the next look is stuck.
    /// </summary>
    public uint Look()
    {
        if (_region == null)
        {
            return 0;
        }

        uint turns = Volatile.Read(ref ((ControlHeader*)_region.Start)->Turns);
        _missed = turns == _turnsSeen ? _missed + 1 : 0;
        _turnsSeen = turns;
        ulong one = 1;
        _ = Libc.WriteFast(_bell, &one, sizeof(ulong));
        return _missed;
    }

    /// <summary>Makes the region; the caller hands the ports to the loops.</summary>
    public void Attach(EnginePeer peer, uint loops, StatsFile stats)
    {
        ControlLayout layout = new(ControlLayout.NsmDefault(loops));
        _region = SharedRegion.Create($"nk-nsm-{Id}", layout.Length);
        _bell = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        Bells = new int[loops];
        Ports = new NsmPort[loops];
        ControlHeader* header = (ControlHeader*)_region.Start;
        header->Magic = ControlHeader.NsmMagic;
        header->LayoutVersion = ControlHeader.Version;
        header->HeaderLength = ControlHeader.Length;
        header->TotalLength = layout.Length;
        header->Id = Id;
        header->Counts = layout.Counts;
        header->OwnerPid = (uint)Environment.ProcessId;
        header->Heartbeat = Libc.Now;
        SeqPacket.Put(new Span<byte>(header->Name, 40), Name);
        for (uint loop = 0; loop < loops; loop++)
        {
            Bells[loop] = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
            Ports[loop] = new NsmPort(Id, loop, _region.Start, layout, stats.NsmOf(loop, Id), _bell, Bells[loop]);
        }

        Volatile.Write(ref header->State, RegionState.Running);
        Peer = peer;
        peer.Nsm = this;
    }

    /// <summary>Region, its bell, and CoreEngine's bells: what the answer to NsmHello carries.</summary>
    public int[] Fds() => [_region!.Fd, _bell, .. Bells];

    /// <summary>Gives the region back. The loops have let go before.</summary>
    public void Detach()
    {
        if (_region == null)
        {
            return;
        }

        Volatile.Write(ref ((ControlHeader*)_region.Start)->State, RegionState.Detached);
        _region.Dispose();
        _region = null;
        _ = Libc.Close(_bell);
        foreach (int bell in Bells)
        {
            _ = Libc.Close(bell);
        }

        Bells = [];
        Ports = [];
        Asked.Clear();
        _turnsSeen = uint.MaxValue;
        _missed = 0;
        Peer!.Nsm = null;
        Peer = null;
    }
}
