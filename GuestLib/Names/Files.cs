namespace NetKernel.GuestLib.Names;

/// <summary>Small files, and the environment.</summary>
internal static unsafe class Files
{
    private const int MaxBytes = 65536;

    /// <summary>The beginning of a file in memory that the caller gives back with free(3); null when it cannot be read.</summary>
    internal static byte* Read(ReadOnlySpan<byte> path, out int length)
    {
        fixed (byte* text = path)
        {
            return Read(text, out length);
        }
    }

    /// <inheritdoc cref="Read(ReadOnlySpan{byte}, out int)"/>
    internal static byte* Read(byte* path, out int length)
    {
        length = 0;
        int errno = Libc.Errno;
        int fd = Libc.open(path, Abi.O_CLOEXEC);
        byte* text = fd < 0 ? null : (byte*)Libc.malloc(MaxBytes);
        while (text != null && length < MaxBytes)
        {
            nint got = Libc.pread64(fd, text + length, (nuint)(MaxBytes - length), length);
            if (got <= 0)
            {
                break;
            }

            length += (int)got;
        }

        if (fd >= 0)
        {
            _ = Real.close(fd);
        }

        Libc.Errno = errno;
        return text;
    }

    /// <summary>A variable that only the user may set: null in set-user-ID programs.</summary>
    internal static byte* Environment(ReadOnlySpan<byte> name)
    {
        fixed (byte* text = name)
        {
            byte* value = Libc.secure_getenv(text);
            return value == null || *value == 0 ? null : value;
        }
    }
}
