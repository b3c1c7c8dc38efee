using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Usage;

/// <summary>
/// Reads an NSM's file of measures, and asks for fresh ones. By pread and pwrite and not by mapping: what an NSM does to its file can harm nobody here.
/// </summary>
internal sealed class MeasuresFile : IDisposable
{
    private const uint MostGuests = 1 << 16;

    private readonly SafeFileHandle _file;

    private MeasuresFile(SafeFileHandle file, MeasuresHeader header)
    {
        _file = file;
        Header = header;
    }

    public MeasuresHeader Header { get; }

    /// <summary>Null when there is none, or it is none.</summary>
    public static MeasuresFile? TryOpen(string path)
    {
        SafeFileHandle file;
        try
        {
            file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }

        MeasuresHeader header = default;
        if (Read(file, ref header, 0) && header.Magic == MeasuresHeader.MagicValue && header.Guests <= MostGuests)
        {
            return new MeasuresFile(file, header);
        }

        file.Dispose();
        return null;
    }

    public GuestMeasures Guest(uint id)
    {
        GuestMeasures row = default;
        return Read(_file, ref row, Header.GuestOf(id)) ? row : default;
    }

    /// <summary>Every connection is to be measured again when it next has something to do.</summary>
    public void Ask(uint round)
    {
        try
        {
            RandomAccess.Write(_file, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(ref round)), Marshal.OffsetOf<MeasuresHeader>(nameof(MeasuresHeader.Round)));
        }
        catch (IOException)
        {
            // The next one does it.
        }
    }

    public void Dispose() => _file.Dispose();

    private static bool Read<T>(SafeFileHandle file, ref T row, ulong offset)
        where T : unmanaged
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<T>(ref row));
        return RandomAccess.Read(file, bytes, (long)offset) == bytes.Length;
    }
}
