namespace NetKernel.Stack;

/// <summary>Who uses datagram sockets. Called from within the stack; it may note and schedule, but not call the socket.</summary>
public unsafe interface IUdpUser
{
    /// <summary>A datagram waits, or an error.</summary>
    void Changed(UdpSocket* s);
}
