namespace NetKernel.CoreEngine.Control;

/// <summary>What an operator reads about a detached guest.</summary>
internal static class ViolationText
{
    public static string Of(Violation violation, uint queueSet, ulong detail)
    {
        string what = violation switch
        {
            Violation.JobRingIndex => "impossible index in the job ring",
            Violation.SendRingIndex => "impossible index in the send ring",
            Violation.CompletionRingIndex => "impossible index in the completion ring",
            Violation.ReceiveRingIndex => "impossible index in the receive ring",
            Violation.JobRingOp => $"operation 0x{detail:x2} on the job ring",
            Violation.SendRingOp => $"operation 0x{detail:x2} on the send ring",
            Violation.SocketRange => $"socket id {detail} out of range",
            Violation.SocketInUse => $"socket id {detail} is in use already",
            Violation.SocketUnknown => $"socket id {detail} was never made",
            Violation.TxRange => $"send from 0x{detail:x}, outside the TX pool or across chunks",
            Violation.RxRange => $"credit for 0x{detail:x}, outside the RX pool or across chunks",
            Violation.TooManySends => $"more than {SocketSlot.MaxSends} sends in flight on socket {detail}",
            Violation.ControlTwice => $"a second control request on socket {detail} before the first was completed",
            Violation.OptionLength => $"socket option of {detail} bytes",
            Violation.ShutdownHow => $"shutdown({detail})",
            Violation.NotListening => $"socket id {detail} does not listen",
            Violation.HandleZero => $"impossible connection handle {detail}",
            Violation.NotDraining => $"does not drain its rings: {detail} elements are waiting",
            _ => $"violation {(uint)violation}",
        };
        return $"{what} (queue set {queueSet})";
    }
}
