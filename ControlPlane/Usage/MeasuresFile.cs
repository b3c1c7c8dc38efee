using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Usage;

/// <summary>
/// Reads an NSM's file of measures, and asks for fresh ones. By pread and pwrite and not by mapping: what an NSM does to its file can harm nobody here.
/// </summary>
internal sealed class MeasuresFile : IDisposable
{
    private const uint MostGuests = 1 << 16, MostReasons = 256, MostThreads = 256;
    private const ulong MostOffset = 1 << 30;

    private static readonly System.Buffers.SearchValues<byte> NameBytes = System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789_"u8);

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

    /// <summary>Packets that the stack has dropped since the NSM started, by reason; those that happened.</summary>
    public SortedDictionary<string, ulong> Drops()
    {
        var drops = new SortedDictionary<string, ulong>(StringComparer.Ordinal);
        if (Header.DropReasons > MostReasons || Header.DropRows > MostThreads || Header.DropsAt > MostOffset)
        {
            return drops;
        }

        Span<byte> name = stackalloc byte[(int)MeasuresHeader.DropNameBytes];
        for (uint reason = 0; reason < Header.DropReasons; reason++)
        {
            ulong sum = 0;
            for (uint row = 0; row < Header.DropRows; row++)
            {
                ulong count = 0;
                sum += Read(_file, ref count, Header.DropsOf(row) + (reason * sizeof(ulong))) ? count : 0;
            }

            if (sum == 0 || RandomAccess.Read(_file, name, (long)(Header.DropsAt + (reason * MeasuresHeader.DropNameBytes))) != name.Length)
            {
                continue;
            }

            int length = name.IndexOf((byte)0);
            if (length > 0 && !name[..length].ContainsAnyExcept(NameBytes))
            {
                drops[System.Text.Encoding.ASCII.GetString(name[..length])] = sum;
            }
        }

        return drops;
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
