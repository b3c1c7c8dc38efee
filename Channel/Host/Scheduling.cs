using System.Runtime.InteropServices;

namespace NetKernel.Channel.Host;

/// <summary>How the kernel's scheduler treats the calling thread, sched_setattr(2).</summary>
public static unsafe class Scheduling
{
    /// <summary>The shortest slice that the kernel takes, ns.</summary>
    public const ulong ShortSlice = 100_000;

    private const int SchedSetAttr = 314, SchedGetAttr = 315; // x86-64

    /// <summary>
    /// Asks for short slices of processor time, for a thread that works little at a time and that others wait for: it gets no more time than before, but sooner. Among threads that have their
    /// due, the kernel (EEVDF, since 6.12) runs the one whose slice would end first, and one with a shorter slice need not wait for the running one's slice to end (3 ms and more). Needs no
    /// privilege. False when nothing has changed: an older kernel refuses nothing and ignores it, and a thread that somebody has given another policy than SCHED_OTHER is left alone.
    /// </summary>
    public static bool TakeShortSlices()
    {
        Attributes attributes = default;
        if (Libc.Syscall(SchedGetAttr, 0, (nint)(&attributes), sizeof(Attributes), 0, 0, 0) != 0 || attributes.Policy != 0)
        {
            return false;
        }

        attributes.Size = (uint)sizeof(Attributes);
        attributes.Runtime = ShortSlice;
        return Libc.Syscall(SchedSetAttr, 0, (nint)(&attributes), 0, 0, 0, 0) == 0;
    }

    /// <summary>The slice of the calling thread, ns; 0 when the kernel does not tell.</summary>
    public static ulong Slice
    {
        get
        {
            Attributes attributes = default;
            return Libc.Syscall(SchedGetAttr, 0, (nint)(&attributes), sizeof(Attributes), 0, 0, 0) == 0 ? attributes.Runtime : 0;
        }
    }

    /// <summary>struct sched_attr, its first version.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Attributes
    {
        public uint Size;
        public uint Policy;
        public ulong Flags;
        public int Nice;
        public uint Priority;
        public ulong Runtime;
        public ulong Deadline;
        public ulong Period;
    }
}
