using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using NetKernel.Channel;

namespace NetKernel.ControlPlane.Engine;

/// <summary>
/// Reads CoreEngine's counter file. By pread and not by mapping: a file that a dying engine cut short is then a short read here and not a SIGBUS.
/// </summary>
internal sealed class EngineStats(string path)
{
    /// <summary>The header, or null when there is no engine or its layout is another one.</summary>
    public static CountersHeader? Header(SafeFileHandle file)
    {
        CountersHeader header = default;
        return RandomAccess.Read(file, MemoryMarshal.AsBytes(new Span<CountersHeader>(ref header)), 0) == CountersHeader.Length
            && header.Magic == CountersHeader.MagicValue && header.LayoutVersion == ControlHeader.Version
            && header.Loops is > 0 and <= ControlHeader.MaxLoops
            ? header
            : null;
    }

    /// <summary>Opens the file; null when it is not there.</summary>
    public SafeFileHandle? Open()
    {
        try
        {
            return File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Rows of one loop, at most as many as asked for.</summary>
    public static T[] Rows<T>(SafeFileHandle file, ulong offset, uint count)
        where T : unmanaged
    {
        var rows = new T[count];
        Span<byte> bytes = MemoryMarshal.AsBytes(rows.AsSpan());
        int done = 0;
        while (done < bytes.Length)
        {
            int got = RandomAccess.Read(file, bytes[done..], (long)offset + done);
            if (got <= 0)
            {
                break;
            }

            done += got;
        }

        return rows;
    }
}
