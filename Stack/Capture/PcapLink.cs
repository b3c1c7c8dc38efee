namespace NetKernel.Stack;

/// <summary>
/// A link that writes what passes into a capture: what is sent by itself, what is received when the caller says so (<see cref="Received"/>), because frames come to a stack past
/// its link. It copies and may allocate: for tests and for looking at things, not for carrying load.
/// </summary>
/// <param name="under">The link that carries the frames.</param>
/// <param name="to">The capture.</param>
/// <param name="clock">The time, nanoseconds since 1970.</param>
public sealed unsafe class PcapLink(ILink under, PcapWriter to, Func<long> clock) : ILink
{
    private readonly WireFrames _wire = new();
    private readonly byte[] _flat = new byte[65_536 + 256];

    /// <inheritdoc/>
    public uint Mtu => under.Mtu;

    /// <inheritdoc/>
    public ulong Mac => under.Mac;

    /// <inheritdoc/>
    public bool FinishesChecksums => under.FinishesChecksums;

    /// <inheritdoc/>
    public uint MaxGso => under.MaxGso;

    /// <summary>Frames that were too large to be captured.</summary>
    public ulong Skipped { get; private set; }

    /// <inheritdoc/>
    public bool Transmit(in OutFrame frame)
    {
        uint length = frame.HeaderLength + frame.PayloadLength;
        if (length > (uint)_flat.Length)
        {
            Skipped++;
        }
        else if (!to.IsFull)
        {
            fixed (byte* p = _flat)
            {
                NetworkStack.Flatten(in frame, p);
            }

            Add(_flat.AsSpan(0, (int)length), new Unfinished(frame.ChecksumStart, frame.ChecksumOffset, frame.GsoSize));
        }

        return under.Transmit(in frame);
    }

    /// <summary>Writes a frame that is about to be given to the stack.</summary>
    public void Received(ReadOnlySpan<byte> frame, Unfinished state) => Add(frame, state);

    private void Add(ReadOnlySpan<byte> frame, Unfinished state)
    {
        long now = clock();
        _ = _wire.Expand(frame, state, one => to.Add(now, one));
    }
}
