namespace NetKernel.GuestLib;

/// <summary>The rare line on standard error: what the library refuses, it refuses loudly.</summary>
internal static unsafe class Report
{
    private static int s_lines;

    /// <summary>CoreEngine refused to attach this process, and says why.</summary>
    internal static void Refused(byte* reason)
    {
        if (Interlocked.Increment(ref s_lines) > 8)
        {
            return;
        }

        Put("netkernel: not attached: "u8);
        nuint n = 0;
        while (n < 127 && reason[n] != 0)
        {
            n++;
        }

        _ = Real.write(2, reason, n);
        Put("\n"u8);
    }

    /// <summary>Something this library does not cover was asked for.</summary>
    internal static void Line(ReadOnlySpan<byte> text)
    {
        if (Interlocked.Increment(ref s_lines) > 8)
        {
            return;
        }

        Put("netkernel: "u8);
        Put(text);
        Put("\n"u8);
    }

    private static void Put(ReadOnlySpan<byte> text)
    {
        fixed (byte* p = text)
        {
            _ = Real.write(2, p, (nuint)text.Length);
        }
    }
}
