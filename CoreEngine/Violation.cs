namespace NetKernel.CoreEngine;

/// <summary>What a guest did that no library that keeps to docs/wire-format.md does. The guest is detached for it.</summary>
internal enum Violation : uint
{
    None = 0,
    JobRingIndex,
    SendRingIndex,
    CompletionRingIndex,
    ReceiveRingIndex,
    JobRingOp,
    SendRingOp,
    SocketRange,
    SocketInUse,
    SocketUnknown,
    TxRange,
    RxRange,
    TooManySends,
    ControlTwice,
    OptionLength,
    ShutdownHow,
    NotListening,
    HandleZero,
    NotDraining,
}
