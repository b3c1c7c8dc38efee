using System.Runtime.InteropServices;

namespace NetKernel.Channel.Host;

/// <summary>What ethtool(8) does, for interfaces of the network namespace that this thread is in (linux/ethtool.h, SIOCETHTOOL).</summary>
public static unsafe class Ethtool
{
    private const nuint SIOCETHTOOL = 0x8946;
    private const uint SetTransmitChecksums = 0x17, GetFlags = 0x25, SetFlags = 0x26, GetChannels = 0x3C, SetChannels = 0x3D;
    private const uint TransmitVlanFlag = 1 << 7;
    private const int NameBytes = 16, RequestBytes = 40;
    private const ulong Patience = 5_000_000_000; // ns

    /// <summary>
    /// Has the kernel finish what it sends on an interface: checksums are computed, segments cut, VLAN tags put into the frame. For a veth whose other end cannot see what is unfinished (XDP).
    /// </summary>
    /// <exception cref="InvalidOperationException">The interface cannot do so, or is not there.</exception>
    public static void FinishFrames(string name)
    {
        // Segmentation goes with checksums: the kernel switches it off (netdev_fix_features).
        uint* value = stackalloc uint[2];
        value[0] = SetTransmitChecksums;
        value[1] = 0;
        Check(Ask(name, value), name, "transmit checksums cannot be switched off");
        value[0] = GetFlags;
        Check(Ask(name, value), name, "its features cannot be asked for");
        value[0] = SetFlags;
        value[1] &= ~TransmitVlanFlag;
        Check(Ask(name, value), name, "VLAN tags beside the frame cannot be switched off");
    }

    /// <summary>How many receive queues it has; null: its driver does not say.</summary>
    public static int? ReceiveQueues(string name)
    {
        uint* channels = stackalloc uint[9];
        return Channels(name, channels) ? (int)(channels[5] + channels[8]) : null;
    }

    /// <summary>
    /// Sets the queues of a driver that has them in both directions separately, as veth. A queue that goes may still be an AF_XDP socket's whose process has just ended: the kernel lets go of it
    /// some time later (xp_put_pool) and refuses until then (ethtool_set_channels), so this waits for seconds at most.
    /// </summary>
    /// <exception cref="InvalidOperationException">It has no room for so many, is not there, or somebody keeps what is to go.</exception>
    public static void SetQueues(string name, uint count)
    {
        uint* channels = stackalloc uint[9];
        if (!Channels(name, channels))
        {
            throw new InvalidOperationException($"interface {name}: its queues cannot be asked for: {Libc.Describe(Libc.Errno)}");
        }

        uint most = channels[1];
        channels[0] = SetChannels;
        channels[5] = channels[6] = count;
        ulong end = Libc.Now + Patience;
        int error = Ask(name, channels);
        while (error == Libc.EINVAL && count <= most && Libc.Now < end)
        {
            Thread.Sleep(1);
            error = Ask(name, channels);
        }

        Check(error, name, $"{count} queues cannot be had, at most {most}");
    }

    // struct ethtool_channels: command, most of rx, tx, other and combined, then those in use.
    private static bool Channels(string name, uint* channels)
    {
        new Span<uint>(channels, 9).Clear();
        channels[0] = GetChannels;
        return Ask(name, channels) == 0;
    }

    /// <summary>Returns 0 or an errno.</summary>
    private static int Ask(string name, void* command)
    {
        if (name.Length is 0 or >= NameBytes)
        {
            return Libc.EINVAL;
        }

        byte* request = stackalloc byte[RequestBytes]; // struct ifreq
        new Span<byte>(request, RequestBytes).Clear();
        for (int i = 0; i < name.Length; i++)
        {
            request[i] = (byte)name[i];
        }

        *(void**)(request + NameBytes) = command;
        int fd = Libc.Socket(Libc.AF_INET, Libc.SOCK_DGRAM | Libc.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            return Libc.Errno;
        }

        int error = Ioctl(fd, SIOCETHTOOL, request) == 0 ? 0 : Libc.Errno;
        _ = Libc.Close(fd);
        return error;
    }

    private static void Check(int error, string name, string what)
    {
        if (error != 0)
        {
            throw new InvalidOperationException($"interface {name}: {what}: {Libc.Describe(error)}");
        }
    }

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Ioctl(int fd, nuint request, void* argument);
}
