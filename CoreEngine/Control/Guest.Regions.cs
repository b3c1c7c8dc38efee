using System.Threading;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>A guest's shared regions: their headers, and their end.</summary>
internal sealed unsafe partial class Guest
{
    /// <summary>Tells the processes that it is over, and gives the memory back. The loops have let go before.</summary>
    public void TearDown()
    {
        if (IsTornDown)
        {
            return;
        }

        Volatile.Write(ref Header->State, RegionState.Detached);
        for (int slot = 0; slot < (int)ControlLayout.MaxQueueSets; slot++)
        {
            if (Pipes[slot] >= 0)
            {
                _ = Libc.Close(Pipes[slot]);
            }
        }

        foreach (GuestPort port in Ports)
        {
            port.Dispose();
        }

        foreach (int bell in Bells)
        {
            _ = Libc.Close(bell);
        }

        NativeTable.Release(Pipes, ControlLayout.MaxQueueSets * sizeof(int));
        Pipes = null;
        Header = null;
        _control.Dispose();
        _pool.Dispose();
    }

    private void WriteHeader()
    {
        ControlHeader* header = Header;
        header->Magic = ControlHeader.GuestMagic;
        header->LayoutVersion = ControlHeader.Version;
        header->HeaderLength = ControlHeader.Length;
        header->TotalLength = Layout.Length;
        header->Id = Id;
        header->Counts = Layout.Counts;
        header->OwnerPid = (uint)Environment.ProcessId;
        header->Flags = Flags;
        header->Address4 = Address4;
        header->Address6Low = Address6Low;
        header->Address6High = Address6High;
        header->Pool = Pool;
        header->Heartbeat = Libc.Now;
        SeqPacket.Put(new Span<byte>(header->Name, 40), Name);
        for (uint loop = 0; loop < Layout.Counts.Loops; loop++)
        {
            ((LoopBell*)((byte*)header + ControlLayout.LoopBellOf(loop)))->Asleep = 1;
        }

        Volatile.Write(ref header->State, RegionState.Running);
    }

    // Only the header page is ever mapped here: payload is no business of CoreEngine's.
    private void WritePoolHeader()
    {
        nuint bytes = _pool.IsHuge ? (nuint)PoolLayout.Alignment : 4096;
        nint address = Libc.Map(0, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _pool.Fd, 0);
        if (address == -1)
        {
            return;
        }

        byte* page = (byte*)address;
        *(ulong*)page = PoolLayout.Magic;
        *(uint*)(page + 8) = ControlHeader.Version;
        *(uint*)(page + 12) = PoolLayout.Alignment;
        *(ulong*)(page + 16) = Pool.Length;
        *(PoolLayout*)(page + 24) = Pool;
        _ = Libc.Unmap(address, bytes);
    }
}
