using System.Runtime.InteropServices;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Tests.Usage;

/// <summary>engine.stats as CoreEngine would write it, for tests without one: one loop.</summary>
internal sealed class StatsWriter : IDisposable
{
    private readonly FileStream _file;
    private readonly CountersHeader _header = new()
    {
        Magic = CountersHeader.MagicValue,
        LayoutVersion = ControlHeader.Version,
        Loops = 1,
        Guests = 1024,
        Nsms = 64,
        Connections = 65536,
        Pid = (uint)Environment.ProcessId,
        Started = 12345,
    };

    public StatsWriter(string runDirectory)
    {
        _file = new FileStream(Path.Combine(runDirectory, "engine.stats"), FileMode.Create, FileAccess.ReadWrite, FileShare.ReadWrite);
        _file.SetLength((long)_header.TotalLength);
        Put(0, _header);
    }

    /// <summary>What a guest has used since it was made, all by one NSM.</summary>
    public void Guest(uint id, ulong since, uint nsm, ulong sent, ulong received, ulong nqes, ulong open = 0, ulong connects = 0, ulong failed = 0)
    {
        Put(_header.SharesOf(0, id) + (nsm * NsmShare.Length), new NsmShare
        {
            BytesSent = sent,
            BytesReceived = received,
            NqesToNsm = nqes,
            NqesFromNsm = nqes,
            Connects = connects,
            ConnectsFailed = failed,
        });
        Put(_header.GuestOf(0, id), new GuestCounters
        {
            Since = since,
            BytesSent = sent,
            BytesReceived = received,
            NqesFromGuest = nqes,
            NqesToGuest = nqes,
            Open = open,
            Connects = connects,
            ConnectsFailed = failed,
        });
    }

    /// <summary>The guest is gone.</summary>
    public void Clear(uint id)
    {
        Put(_header.GuestOf(0, id), default(GuestCounters));
        for (uint nsm = 0; nsm < _header.Nsms; nsm++)
        {
            Put(_header.SharesOf(0, id) + (nsm * NsmShare.Length), default(NsmShare));
        }
    }

    public void Dispose() => _file.Dispose();

    private void Put<T>(ulong offset, T row)
        where T : unmanaged => RandomAccess.Write(_file.SafeFileHandle, MemoryMarshal.AsBytes(new ReadOnlySpan<T>(ref row)), (long)offset);
}
