using System.Buffers.Binary;
using System.Text;

namespace NetKernel.Channel.Host;

/// <summary>What an ELF file (elf(5)) is, as far as it decides whether the guest library can be loaded into it.</summary>
public static class ElfProgram
{
    private const int HeadBytes = 64 * 1024;
    private const ushort MachineX64 = 62;

    /// <summary>The first 64 KB of a file. Throws IOException or UnauthorizedAccessException.</summary>
    public static byte[] ReadHead(string path)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        byte[] head = new byte[(int)Math.Min(stream.Length, HeadBytes)];
        stream.ReadExactly(head);
        return head;
    }

    /// <summary>Why the guest library cannot be loaded into a program; null: nothing in the file is against it. Never throws for what the file contains.</summary>
    /// <param name="name">The file's name, without its folder.</param>
    /// <param name="head">What <see cref="ReadHead"/> read.</param>
    public static string? Problem(string name, ReadOnlySpan<byte> head)
    {
        if (head.Length < 64 || !head.StartsWith("\x7f"u8) || !head[1..].StartsWith("ELF"u8))
        {
            return "it is neither an ELF program nor a script with #!";
        }

        ushort machine = BinaryPrimitives.ReadUInt16LittleEndian(head[18..]);
        if (head[4] != 2 || head[5] != 1 || machine != MachineX64)
        {
            return $"it is built for another architecture ({Machine(head[4], machine)}); the guest library is for x86-64";
        }

        ulong table = BinaryPrimitives.ReadUInt64LittleEndian(head[32..]);
        int size = BinaryPrimitives.ReadUInt16LittleEndian(head[54..]);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(head[56..]);
        string? interpreter = null;
        bool go = false;
        for (int i = 0; i < count; i++)
        {
            ulong at = table + (ulong)(i * size);
            if (size < 56 || at + 56 > (ulong)head.Length)
            {
                break;
            }

            ReadOnlySpan<byte> header = head[(int)at..];
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(header);
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
            ulong length = BinaryPrimitives.ReadUInt64LittleEndian(header[32..]);
            if (offset >= (ulong)head.Length || length > (ulong)head.Length - offset)
            {
                continue;
            }

            ReadOnlySpan<byte> content = head.Slice((int)offset, (int)length);
            switch (type)
            {
                case 3: // PT_INTERP
                    interpreter = Encoding.UTF8.GetString(content).TrimEnd('\0');
                    break;
                case 4: // PT_NOTE: the Go linker's build id has the owner "Go"
                    go |= content.Length > 16 && content[12..].StartsWith("Go\0\0"u8);
                    break;
            }
        }

        return go ? "it is a Go program: those call the kernel directly and load no library"
            : interpreter is null
            ? name.StartsWith("ld-linux", StringComparison.Ordinal) ? null : "it is statically linked: no library can be loaded into it"
            : interpreter.Contains("ld-musl", StringComparison.Ordinal) ? "it is linked against musl; the guest library needs glibc" : null;
    }

    private static string Machine(byte wordSize, ushort machine) => machine switch
    {
        3 => "32-bit x86",
        MachineX64 when wordSize == 1 => "x32",
        40 => "32-bit ARM",
        183 => "ARM64",
        243 => "RISC-V",
        21 => "PowerPC64",
        22 => "S/390",
        _ => $"ELF machine {machine}",
    };
}
