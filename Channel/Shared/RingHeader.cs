using System.Runtime.InteropServices;

namespace NetKernel.Channel;

/// <summary>
/// The head of a single-producer single-consumer ring of <see cref="Nqe"/> in shared memory; the slots follow at <see cref="SlotsOffset"/>.
/// Indices run freely and wrap at 2^32; tail - head is the fill. Each index has its cache line (and the neighbour line, which
/// the prefetcher pulls along) to itself.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = SlotsOffset)]
public struct RingHeader
{
    /// <summary>Bytes from the ring's start to its first slot.</summary>
    public const int SlotsOffset = 256;

    /// <summary>Elements ever enqueued. Written (release) by the producer only.</summary>
    [FieldOffset(0)] public uint Tail;

    /// <summary>Elements ever dequeued. Written (release) by the consumer only.</summary>
    [FieldOffset(128)] public uint Head;

    /// <summary>Bytes of a ring with that many slots.</summary>
    public static ulong BytesFor(uint slots) => SlotsOffset + ((ulong)slots * Nqe.Length);
}
