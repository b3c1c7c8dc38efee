using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// An epoll set that several processes of a guest have, by fork, exec or a message over AF_UNIX (docs/adr/0006-shared-epoll-sets.md). It says who has it; what is in it
/// say the <see cref="SharedWatch"/>es that name it. Written by the guest; CoreEngine takes ended processes out, and frees it after the last.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct SharedSet
{
    /// <summary>Bytes.</summary>
    public const int Length = 128;

    /// <summary>Odd: in use. Raised by exchange when the set is made and when it is freed, so that a number stands for one life of it.</summary>
    [FieldOffset(0)] public uint State;

    /// <summary>Raised with every change of a watch of it, under <see cref="Lock"/>.</summary>
    [FieldOffset(4)] public uint Version;

    /// <summary>Held by who changes its watches. The holder's process slot + 1 in bits 48-63; freed by CoreEngine when that process ends.</summary>
    [FieldOffset(8)] public ulong Lock;

    /// <summary>The processes that have it.</summary>
    [FieldOffset(64)] public ProcessMask Holders;

    /// <summary>Those of them that have waited on it or changed it since they have it: who only inherited it need not hear of its changes.</summary>
    [FieldOffset(96)] public ProcessMask Users;

    /// <summary>Whether a value of <see cref="State"/> says that the set is in use.</summary>
    public static bool IsUsed(uint state) => (state & 1) != 0;
}

/// <summary>What one <see cref="SharedSet"/> watches: an fd number and the socket behind it, as epoll_ctl(2) was told. The guest's own.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct SharedWatch
{
    /// <summary>Bytes.</summary>
    public const int Length = 64;

    /// <summary>In <see cref="Owner"/>: being filled.</summary>
    public const ulong Draft = 1ul << 31;

    /// <summary>In <see cref="Flags"/>: the kernel's set has it too.</summary>
    public const uint NativeToo = 1;

    /// <summary>Index of the set plus one, and its <see cref="SharedSet.State"/> in the high half; 0: free. One whose set has another state is free too. Claimed by exchange.</summary>
    [FieldOffset(0)] public ulong Owner;

    /// <summary>Raised with each ADD and MOD; not 0.</summary>
    [FieldOffset(8)] public uint Serial;

    /// <summary>The fd it was added by.</summary>
    [FieldOffset(12)] public int Fd;

    /// <summary>The socket.</summary>
    [FieldOffset(16)] public uint Socket;

    /// <summary>See <see cref="NativeToo"/>.</summary>
    [FieldOffset(20)] public uint Flags;

    /// <summary>The socket's inode: with another one the watch is void.</summary>
    [FieldOffset(24)] public ulong Inode;

    /// <summary>The events that the program asked for.</summary>
    [FieldOffset(32)] public uint Events;

    /// <summary>The program's.</summary>
    [FieldOffset(40)] public ulong Data;

    /// <summary>
    /// Of EPOLLET and EPOLLONESHOT: what was told last. <see cref="Serial"/> in the high half, in the low one the socket's counts of events together. Who changes it by
    /// exchange is the one process that tells the program.
    /// </summary>
    [FieldOffset(48)] public ulong Told;
}
