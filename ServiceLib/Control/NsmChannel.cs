using System.ComponentModel;
using System.IO;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>An NSM's connection to CoreEngine: the local socket, the mapped region, and the bells.</summary>
public sealed unsafe class NsmChannel : IDisposable
{
    /// <summary>Fewer slots could not hold what one connection may have to say at once.</summary>
    private const uint MinSlots = 256;

    private readonly SharedRegion _region;
    private readonly int[] _bells;
    private readonly int[] _engineBells;

    private NsmChannel(string runDirectory, uint id, int socket, SharedRegion region, ControlLayout layout, int[] bells, int[] engineBells)
    {
        RunDirectory = runDirectory;
        Id = id;
        Socket = socket;
        _region = region;
        Layout = layout;
        _bells = bells;
        _engineBells = engineBells;
    }

    /// <summary>CoreEngine's run directory.</summary>
    public string RunDirectory { get; }

    /// <summary>The NSM's id.</summary>
    public uint Id { get; }

    /// <summary>The connection to engine.sock.</summary>
    public int Socket { get; }

    /// <summary>Where everything lies in the region.</summary>
    public ControlLayout Layout { get; }

    /// <summary>The region.</summary>
    public byte* Region => _region.Start;

    /// <summary>Attaches to the CoreEngine of a run directory as that NSM.</summary>
    /// <exception cref="AttachException">It cannot be reached, refuses, or speaks another version.</exception>
    public static NsmChannel Attach(string runDirectory, uint id)
    {
        string path = Path.Combine(runDirectory, "engine.sock");
        int socket = SeqPacket.Connect(path);
        if (socket < 0)
        {
            throw new AttachException($"cannot reach CoreEngine at {path}: {Libc.Describe(-socket)}");
        }

        int[] fds = new int[SeqPacket.MaxFds];
        int count = 0;
        try
        {
            int error = SeqPacket.Send(socket, new AttachMessage { Op = AttachOp.NsmHello, Nsm = id }, []);
            count = error != 0 ? error : SeqPacket.Receive(socket, out AttachMessage answer, fds, out _, wait: true) is var got && got < 0
                ? got
                : Check(in answer, got);
            if (count < 0)
            {
                throw new AttachException($"CoreEngine did not take NSM {id}: {Libc.Describe(-count)}");
            }

            return Open(runDirectory, id, socket, fds.AsSpan(0, count));
        }
        catch
        {
            if (count > 0)
            {
                SeqPacket.CloseAll(fds.AsSpan(0, count));
            }

            _ = Libc.Close(socket);
            throw;
        }

        int Check(in AttachMessage answer, int received)
        {
            count = received;
            if (answer.Op == AttachOp.NsmHello && answer.Error == 0)
            {
                return received;
            }

            AttachMessage copy = answer;
            string text = SeqPacket.Get(new ReadOnlySpan<byte>(copy.Text, 128));
            throw new AttachException($"CoreEngine refused NSM {id}: {(text.Length > 0 ? text : Libc.Describe(answer.Error))}");
        }
    }

    /// <summary>The eventfd that CoreEngine rings for what it put into a queue set.</summary>
    public int Bell(uint queueSet) => _bells[queueSet];

    /// <summary>CoreEngine's bell for the loop of a queue set.</summary>
    public int EngineBell(uint queueSet) => _engineBells[queueSet % (uint)_engineBells.Length];

    /// <inheritdoc/>
    public void Dispose()
    {
        _region.Dispose();
        SeqPacket.CloseAll(_bells);
        SeqPacket.CloseAll(_engineBells);
        _ = Libc.Close(Socket);
    }

    private static NsmChannel Open(string runDirectory, uint id, int socket, ReadOnlySpan<int> fds)
    {
        if (fds.Length < 3)
        {
            throw new AttachException("CoreEngine's answer lacks file descriptors");
        }

        long length = FileLength(fds[0]);
        ControlHeader header = default;
        if (length >= ControlHeader.Length)
        {
            nint page = Libc.Map(0, ControlHeader.Length, Libc.PROT_READ, Libc.MAP_SHARED, fds[0], 0);
            if (page == -1)
            {
                throw new AttachException($"cannot map the region: {Libc.Describe(Libc.Errno)}");
            }

            header = *(ControlHeader*)page;
            _ = Libc.Unmap(page, ControlHeader.Length);
        }

        ControlLayout layout = new(header.Counts);
        if (header.Magic != ControlHeader.NsmMagic || header.LayoutVersion != ControlHeader.Version || !layout.IsValid
            || header.Counts.RingSlots < MinSlots || layout.Length > (ulong)length || header.Counts.Loops != header.Counts.QueueSets || fds.Length != 1 + (2 * (int)header.Counts.Loops))
        {
            throw new AttachException("CoreEngine's region is of another layout");
        }

        int loops = (int)header.Counts.Loops;
        try
        {
            return new NsmChannel(runDirectory, id, socket, SharedRegion.Open(fds[0], (ulong)length), layout, fds[1..(1 + loops)].ToArray(), fds[(1 + loops)..].ToArray());
        }
        catch (Win32Exception e)
        {
            throw new AttachException(e.Message);
        }
    }

    /// <summary>Bytes of the file behind an fd, by lseek(2); negative on failure.</summary>
    internal static long FileLength(int fd) => Libc.Syscall(8, fd, 0, 2, 0, 0, 0);
}

/// <summary>The NSM could not attach; the message says why, to a person.</summary>
public sealed class AttachException(string message) : NsmStartException(message);
