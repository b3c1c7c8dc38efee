namespace NetKernel.Stack;

/// <summary>
/// Who has the sockets of a <see cref="TcpLayer"/>. Called from within the stack's own calls; of the stack it may call nothing but
/// <see cref="TcpLayer.Write"/> meanwhile.
/// </summary>
public unsafe interface ITcpUser
{
    /// <summary>Something happened that the connection's state shows: connected, refused, connections to accept, the peer's FIN, an error.</summary>
    void Changed(Tcb* t);

    /// <summary>Data, in order. Returns how much was taken; the rest is kept until <see cref="TcpLayer.Pull"/>.</summary>
    uint Receive(Tcb* t, byte* data, uint length);

    /// <summary>Bytes that it has taken and its program has not read: they count in the window. When there are fewer, it calls <see cref="TcpLayer.Reopen"/>.</summary>
    uint Untaken(Tcb* t) => 0;

    /// <summary>The peer has acknowledged the oldest bytes written: their memory is the writer's again.</summary>
    void Acked(Tcb* t, uint bytes);

    /// <summary>
    /// Where bytes lie that were written: <paramref name="length"/> of them, <paramref name="offset"/> behind the oldest that is not acknowledged. Returns the number of pieces
    /// (at most <paramref name="most"/>) and in <paramref name="found"/> their bytes.
    /// </summary>
    uint Gather(Tcb* t, uint offset, uint length, Extent* pieces, uint most, out uint found);
}
