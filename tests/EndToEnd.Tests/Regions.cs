using System.Globalization;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.EndToEnd.Tests;

/// <summary>What is in use in a guest's control region, read from CoreEngine's own descriptor.</summary>
internal readonly record struct InUse(int Sockets, int TxChunks, int Processes, int Locks, int EpollSets)
{
    /// <summary>Looks into the control region of a guest.</summary>
    public static unsafe InUse Of(int enginePid, string guest) => Look(enginePid, guest, Count);

    /// <summary>Whether a process still has its slot: CoreEngine has not yet taken back what it had.</summary>
    public static unsafe bool Knows(int enginePid, string guest, int pid) => Look(enginePid, guest, (start, layout) =>
    {
        for (uint i = 0; i < layout.Counts.QueueSets; i++)
        {
            var slot = (ProcessSlot*)((byte*)start + layout.ProcessOf(i));
            if (slot->State != ProcessState.Free && slot->Pid == pid)
            {
                return true;
            }
        }

        return false;
    });

    private static unsafe T Look<T>(int enginePid, string guest, Func<nint, ControlLayout, T> look)
    {
        foreach (string link in Directory.GetFiles($"/proc/{enginePid}/fd"))
        {
            string? target = new FileInfo(link).LinkTarget;
            if (target == null || !target.StartsWith("/memfd:", StringComparison.Ordinal))
            {
                continue;
            }

            using FileStream file = new(link, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            if (file.Length < ControlHeader.Length)
            {
                continue;
            }

            using var map = System.IO.MemoryMappedFiles.MemoryMappedFile.CreateFromFile(
                file, null, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            using var view = map.CreateViewAccessor(0, 0, System.IO.MemoryMappedFiles.MemoryMappedFileAccess.Read);
            byte* start = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
            try
            {
                var header = (ControlHeader*)start;
                if (header->Magic == ControlHeader.GuestMagic && SeqPacket.Get(new ReadOnlySpan<byte>(header->Name, 40)) == guest)
                {
                    return look((nint)start, new ControlLayout(header->Counts));
                }
            }
            finally
            {
                view.SafeMemoryMappedViewHandle.ReleasePointer();
            }
        }

        throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"process {enginePid} has no control region of guest {guest}"));
    }

    /// <summary>Open descriptors of a process.</summary>
    public static int Descriptors(int pid) => Directory.GetFiles($"/proc/{pid}/fd").Length;

    private static unsafe InUse Count(nint region, ControlLayout layout)
    {
        byte* start = (byte*)region;
        int sockets = 0, chunks = 0, processes = 0, locks = 0;
        for (uint i = 0; i < layout.Counts.Sockets; i++)
        {
            var s = (SocketSlot*)(start + layout.SocketOf(i));
            sockets += s->State != SocketState.Free ? 1 : 0;
            locks += s->State != SocketState.Free && (s->RxLock | s->TxLock | s->ControlLock) != 0 ? 1 : 0;
        }

        for (uint i = 0; i < layout.Counts.TxChunks; i++)
        {
            chunks += ((uint*)(start + layout.TxOwners))[i] != TxOwner.Free ? 1 : 0;
        }

        for (uint i = 0; i < layout.Counts.QueueSets; i++)
        {
            processes += ((ProcessSlot*)(start + layout.ProcessOf(i)))->State != ProcessState.Free ? 1 : 0;
            var set = (QueueSetHeader*)(start + layout.QueueSetOf(i));
            locks += (set->DrainLock != 0 ? 1 : 0) + (set->JobLock != 0 ? 1 : 0) + (set->SendLock != 0 ? 1 : 0);
        }

        int sets = 0;
        for (uint i = 0; i < ControlLayout.MaxSharedSets; i++)
        {
            var set = (SharedSet*)(start + layout.SharedSetOf(i));
            sets += SharedSet.IsUsed(set->State) || !set->Holders.IsEmpty ? 1 : 0;
            locks += set->Lock != 0 ? 1 : 0;
        }

        return new InUse(sockets, chunks, processes, locks, sets);
    }
}
