using System.ComponentModel;
using System.IO;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>engine.stats: the counters and the public half of the connection table, mapped shared. Sparse: only what is used takes room.</summary>
internal sealed unsafe class StatsFile : IDisposable
{
    private readonly string _path;
    private readonly SharedRegion _region;

    public StatsFile(string path, uint loops)
    {
        _path = path;
        CountersHeader header = default;
        header.Magic = CountersHeader.MagicValue;
        header.LayoutVersion = ControlHeader.Version;
        header.Loops = loops;
        header.Guests = SwitchLoop.MaxGuests;
        header.Nsms = SwitchLoop.MaxNsms;
        header.Connections = ConnectionTable.Capacity;
        header.Pid = (uint)Environment.ProcessId;
        header.Started = Libc.Now;
        header.Heartbeat = header.Started;

        // Made under another name, so that a reader never sees half of it, and one that has the old file open keeps that.
        string fresh = path + ".new";
        File.Delete(fresh);
        int fd = Native.Open(fresh, Native.O_RDWR | Native.O_CREAT | Native.O_TRUNC | Libc.O_CLOEXEC, 0x1A4); // 0644
        if (fd < 0 || Libc.Truncate(fd, (long)header.TotalLength) != 0)
        {
            int errno = fd < 0 ? -fd : Libc.Errno;
            throw new Win32Exception(errno, $"cannot make {fresh}: {Libc.Describe(errno)}");
        }

        _region = SharedRegion.Open(fd, header.TotalLength);
        *(CountersHeader*)_region.Start = header;
        File.Move(fresh, path, overwrite: true);
    }

    public CountersHeader* Header => (CountersHeader*)_region.Start;

    public GuestCounters* GuestOf(uint loop, uint guest) => (GuestCounters*)(_region.Start + Header->GuestOf(loop, guest));

    public NsmShare* SharesOf(uint loop, uint guest) => (NsmShare*)(_region.Start + Header->SharesOf(loop, guest));

    public NsmCounters* NsmOf(uint loop, uint nsm) => (NsmCounters*)(_region.Start + Header->NsmOf(loop, nsm));

    public void Dispose()
    {
        _region.Dispose();
        File.Delete(_path);
    }
}
