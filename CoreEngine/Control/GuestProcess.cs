namespace NetKernel.CoreEngine.Control;

/// <summary>A process of a guest.</summary>
internal sealed class GuestProcess(Engine engine, Guest guest, uint slot, int pid) : Source
{
    public Guest Guest { get; } = guest;

    public uint Slot { get; } = slot;

    public int Pid { get; } = pid;

    /// <summary>It has ended; the loops are tidying up. How many of them still are.</summary>
    public uint LoopsLeft { get; set; }

    public bool Ending { get; set; }

    /// <summary>The program that it has executed since has attached by another slot; this one's is taken back once that one holds what it inherited.</summary>
    public bool Superseded { get; set; }

    /// <summary>The write end of its pipe, which tells of an exec.</summary>
    public PipeEnd? Pipe { get; set; }

    public override void Ready(uint events) => engine.ProcessEnded(this);
}
