using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>What the processes of a guest share about one queue set, before its four rings.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
public struct QueueSetHeader
{
    /// <summary>Bytes.</summary>
    public const int Length = 512;

    /// <summary>Process slots that hold sockets of this queue set: of those that sleep, CoreEngine rings the holders of the sockets that have news. Written by the guest, cleared by CoreEngine for a process that ended.</summary>
    [FieldOffset(0)] public ProcessMask Subscribers;

    /// <summary>Not 0 while somebody waits for TX space: only then does a SendDone ring the doorbell. Written by the guest.</summary>
    [FieldOffset(32)] public uint WantsSpace;

    /// <summary>
    /// Raised whenever a process gives space to a socket of which it is not the only holder, before it takes the wish out of <see cref="WantsSpace"/>: it may have done so between CoreEngine's
    /// publishing and CoreEngine's look at the wishes, and whoever wished still sleeps. Written by the guest.
    /// </summary>
    [FieldOffset(36)] public uint SpaceGiven;

    /// <summary>The guest's lock for draining the completion and receive rings (<c>process slot + 1 &lt;&lt; 48 | thread</c>; 0: free).</summary>
    [FieldOffset(128)] public ulong DrainLock;

    /// <summary>The guest's lock for producing into the job ring.</summary>
    [FieldOffset(256)] public ulong JobLock;

    /// <summary>The guest's lock for producing into the send ring.</summary>
    [FieldOffset(384)] public ulong SendLock;
}
