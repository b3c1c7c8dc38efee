using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>No link: what the stack sends goes to itself or nowhere.</summary>
internal sealed unsafe class NoDevice : VnetDevice
{
    private const uint LoopbackMtu = 65535; // the largest that an IPv4 packet can be

    private NoDevice(int fd)
        : base(fd, LoopbackMtu, mac: 0)
    {
    }

    /// <summary>Opens an fd that never becomes readable.</summary>
    /// <exception cref="DeviceException">There are no fds left.</exception>
    public static NoDevice Open()
    {
        int fd = Libc.EventFd(0, Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC); // EFD_ flags have the same values
        return fd >= 0 ? new NoDevice(fd) : throw new DeviceException($"eventfd: {Libc.Describe(Libc.Errno)}");
    }

    /// <inheritdoc/>
    public override uint Receive(NetworkStack stack) => 0;

    protected override uint SendBatch(MMsgHdr* messages, Libc.IoVec* vectors, uint count) => 0;
}
