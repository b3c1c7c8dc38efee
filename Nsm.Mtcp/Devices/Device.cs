using NetKernel.Channel.Host;
using NetKernel.Stack;

namespace NetKernel.Nsm.Mtcp;

/// <summary>A link with an fd that epoll can wait for. Nothing of it blocks or allocates once it is open.</summary>
internal abstract class Device(int fd, uint mtu, ulong mac) : ILink, IDisposable
{
    /// <summary>Readable when frames wait.</summary>
    public int Fd { get; } = fd;

    /// <inheritdoc/>
    public uint Mtu { get; } = mtu;

    /// <inheritdoc/>
    public ulong Mac { get; } = mac;

    /// <inheritdoc/>
    public abstract bool FinishesChecksums { get; }

    /// <inheritdoc/>
    public abstract uint MaxGso { get; }

    /// <summary>Frames that the kernel did not take.</summary>
    public ulong Refused { get; protected set; }

    /// <summary>Frames wait that the kernel could not take yet; they go with a later <see cref="Flush"/>, and nothing says when.</summary>
    public virtual bool HasUnsent => false;

    /// <summary>Takes a batch of frames to the stack; returns how many.</summary>
    public abstract uint Receive(NetworkStack stack);

    /// <inheritdoc/>
    public abstract bool Transmit(in OutFrame frame);

    /// <summary>Sends what was collected.</summary>
    public abstract void Flush();

    /// <inheritdoc/>
    public virtual void Dispose() => _ = Libc.Close(Fd);
}
