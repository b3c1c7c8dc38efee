using System.ComponentModel;
using System.IO;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <summary>The NSM's file of measures (<see cref="MeasuresHeader"/>), mapped shared.</summary>
internal sealed unsafe class MeasuresFile : IDisposable
{
    private const uint Guests = 1024;

    private readonly string _path;
    private readonly SharedRegion _region;

    private MeasuresFile(string path, SharedRegion region)
    {
        _path = path;
        _region = region;
    }

    public MeasuresHeader* Header => (MeasuresHeader*)_region.Start;

    /// <summary>Makes the file anew; null, and a line on standard error, when it cannot be: then the NSM serves without.</summary>
    public static MeasuresFile? TryMake(string runDirectory, uint nsm, string[] dropReasons, uint threads)
    {
        string path = Path.Combine(runDirectory, $"nsm-{nsm}.measures");
        MeasuresHeader header = default;
        header.Magic = MeasuresHeader.MagicValue;
        header.Guests = Guests;
        header.Pid = (uint)Environment.ProcessId;
        header.Started = Libc.Now;
        header.DropsAt = header.GuestOf(Guests);
        header.DropReasons = (uint)dropReasons.Length;
        header.DropRows = threads;
        try
        {
            // Made under another name, so that a reader never sees half of it, and one that has the old file open keeps that.
            string fresh = path + ".new";
            File.Delete(fresh);
            using var file = new FileStream(fresh, new FileStreamOptions
            {
                Mode = FileMode.CreateNew,
                Access = FileAccess.ReadWrite,
                Share = FileShare.ReadWrite | FileShare.Delete,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
            file.SetLength((long)header.TotalLength);
            SharedRegion region = SharedRegion.Open(Libc.Fcntl((int)file.SafeFileHandle.DangerousGetHandle(), 1030 /* F_DUPFD_CLOEXEC */, 0), header.TotalLength);
            *(MeasuresHeader*)region.Start = header;
            for (int i = 0; i < dropReasons.Length; i++)
            {
                SeqPacket.Put(new Span<byte>(region.Start + header.DropsAt + (i * MeasuresHeader.DropNameBytes), (int)MeasuresHeader.DropNameBytes), dropReasons[i]);
            }

            File.Move(fresh, path, overwrite: true);
            return new MeasuresFile(path, region);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or Win32Exception)
        {
            Console.Error.WriteLine($"{path} cannot be made ({e.Message}): round-trip times and retransmissions are not told");
            return null;
        }
    }

    public GuestMeasures* Guest(uint id) => id < Guests ? (GuestMeasures*)(_region.Start + Header->GuestOf(id)) : null;

    /// <summary>The counters of dropped packets of one of the stack's threads; null: it has none.</summary>
    public ulong* Drops(uint thread) => Header->DropReasons == 0 ? null : (ulong*)(_region.Start + Header->DropsOf(thread));

    public void Dispose()
    {
        File.Delete(_path);
        _region.Dispose();
    }
}
