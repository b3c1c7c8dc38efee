using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib.Testing;

namespace NetKernel.Nsm.SharedMem.Tests;

/// <summary>A connection in the direct form, and its region mapped.</summary>
internal sealed unsafe class DirectPair : IDisposable
{
    public DirectPair(SharedMemNsm nsm, int port)
    {
        (Client, Server) = nsm.Pair(port, flags: NqeFlags.Direct);
        nsm.Engine.Until(() => Client.DirectPlaceTold != 0 && Server.DirectPlaceTold != 0, "Direct");
        Region = SharedRegion.Open(nsm.Regions.Open((uint)Client.DirectPlaceTold, 1), DirectLayout.Length);
    }

    public FakeSocket Client { get; }

    public FakeSocket Server { get; }

    public SharedRegion Region { get; }

    public DirectEnd* Ends(bool client)
    {
        uint end = (uint)((client ? Client : Server).DirectPlaceTold >> 32);
        return (DirectEnd*)(Region.Start + DirectLayout.EndsOf(DirectPlace.ConnectionOf(end))) + DirectPlace.SideOf(end);
    }

    public void Dispose() => Region.Dispose();
}
