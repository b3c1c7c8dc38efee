using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Tests;

/// <summary>engine.stats as a tool reads it.</summary>
internal sealed unsafe class Stats : IDisposable
{
    private readonly SharedRegion _region;

    public Stats(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        nint address = Libc.Map(0, (nuint)file.Length, Libc.PROT_READ, Libc.MAP_SHARED, (int)file.SafeFileHandle.DangerousGetHandle(), 0);
        Assert.NotEqual(-1, address);
        _ = Libc.Unmap(address, (nuint)file.Length);
        _region = SharedRegion.Open(Libc.Fcntl((int)file.SafeFileHandle.DangerousGetHandle(), 1030, 0), (ulong)file.Length, writable: false);
    }

    public CountersHeader* Header => (CountersHeader*)_region.Start;

    public GuestCounters Guest(uint guest, uint loop = 0) => *(GuestCounters*)(_region.Start + Header->GuestOf(loop, guest));

    public NsmShare Share(uint guest, uint nsm, uint loop = 0) => ((NsmShare*)(_region.Start + Header->SharesOf(loop, guest)))[nsm];

    public NsmCounters Nsm(uint nsm, uint loop = 0) => *(NsmCounters*)(_region.Start + Header->NsmOf(loop, nsm));

    public ConnectionRow Row(uint id, uint loop = 0) => *(ConnectionRow*)(_region.Start + Header->ConnectionOf(loop, id));

    /// <summary>Rows in use.</summary>
    public int Rows(uint loop = 0) => Rows(row => row.State != ConnectionState.Free, loop);

    /// <summary>Rows of which something is true.</summary>
    public int Rows(Func<ConnectionRow, bool> which, uint loop = 0)
    {
        int rows = 0;
        for (uint id = 0; id < Header->Connections; id++)
        {
            rows += which(Row(id, loop)) ? 1 : 0;
        }

        return rows;
    }

    public void Dispose() => _region.Dispose();
}
