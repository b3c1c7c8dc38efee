using System.Collections.Generic;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>An NSM as the control thread knows it: announced, and perhaps attached.</summary>
internal sealed unsafe class Nsm(uint id, string name)
{
    private SharedRegion? _region;
    private int[] _nsmBells = [];
    private uint[] _turnsSeen = [];
    private uint _missed;
    private bool _looked;

    public uint Id { get; } = id;

    public string Name { get; } = name;

    /// <summary>Its connection while it is attached.</summary>
    public EnginePeer? Peer { get; private set; }

    /// <summary>Requests that it has not answered yet, in order.</summary>
    public List<(AttachOp Op, uint Guest)> Asked { get; } = [];

    public NsmPort[] Ports { get; private set; } = [];

    public int[] Bells { get; private set; } = [];

    /// <summary>
    /// How often in a row one of its threads was found not to have turned since the look before. Each look rings their bells: whoever sleeps turns for that, and whoever does not for the
    /// next look is stuck.
    /// </summary>
    public uint Look()
    {
        if (_region == null)
        {
            return 0;
        }

        ControlHeader* header = (ControlHeader*)_region.Start;
        bool stuck = false;
        for (int loop = 0; loop < _nsmBells.Length; loop++)
        {
            uint turns = Volatile.Read(ref header->Turns[loop]);
            stuck |= _looked && turns == _turnsSeen[loop];
            _turnsSeen[loop] = turns;
            ulong one = 1;
            _ = Libc.WriteFast(_nsmBells[loop], &one, sizeof(ulong));
        }

        _looked = true;
        _missed = stuck ? _missed + 1 : 0;
        return _missed;
    }

    /// <summary>Makes the region; the caller hands the ports to the loops.</summary>
    public void Attach(EnginePeer peer, uint loops, StatsFile stats)
    {
        ControlLayout layout = new(ControlLayout.NsmDefault(loops));
        _region = SharedRegion.Create($"nk-nsm-{Id}", layout.Length);
        _nsmBells = new int[loops];
        _turnsSeen = new uint[loops];
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
            _nsmBells[loop] = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
            Ports[loop] = new NsmPort(Id, loop, _region.Start, layout, stats.NsmOf(loop, Id), _nsmBells[loop], Bells[loop]);
        }

        Volatile.Write(ref header->State, RegionState.Running);
        Peer = peer;
        peer.Nsm = this;
    }

    /// <summary>Region, the NSM's bell per queue set, and CoreEngine's per loop: what the answer to NsmHello carries.</summary>
    public int[] Fds() => [_region!.Fd, .. _nsmBells, .. Bells];

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
        foreach (int bell in (int[])[.. _nsmBells, .. Bells])
        {
            _ = Libc.Close(bell);
        }

        Bells = [];
        _nsmBells = [];
        _looked = false;
        Ports = [];
        Asked.Clear();
        _missed = 0;
        Peer!.Nsm = null;
        Peer = null;
    }
}
