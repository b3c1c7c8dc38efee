namespace NetKernel.Stack;

/// <summary>Linux's errnos on x86-64, as sockets report them.</summary>
public static class Errno
{
    /// <summary>See errno(3).</summary>
    public const int Invalid = 22, BrokenPipe = 32, MessageSize = 90, ProtocolNotAvailable = 92, AddressInUse = 98, AddressNotAvailable = 99,
        NetworkUnreachable = 101, ConnectionAborted = 103, ConnectionReset = 104, NoBuffers = 105, IsConnected = 106, NotConnected = 107, TimedOut = 110,
        ConnectionRefused = 111, HostUnreachable = 113;
}
