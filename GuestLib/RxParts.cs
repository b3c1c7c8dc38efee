using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// The RX half of the pool has a part for each NSM of the guest. When an NSM is gone, what it delivered can be read until another one gets its part; from then on it is somebody else's.
/// </summary>
internal static unsafe class RxParts
{
    /// <summary>Whether what lies there for a socket is void. To be asked after it was copied: it may have become so meanwhile.</summary>
    internal static bool IsVoid(SocketSlot* s, ulong offset)
    {
        uint epoch = Volatile.Read(ref s->NsmEpoch);
        if (epoch == Volatile.Read(ref Region.Header->NsmEpoch))
        {
            return false;
        }

        uint part = Region.IsHostMode ? 0 : Region.Rx.PartOf(offset, RegionFlags.RxParts);
        return (int)(Volatile.Read(ref Region.Header->RxEpochs[part]) - epoch) > 0;
    }
}
