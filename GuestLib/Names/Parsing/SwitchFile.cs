namespace NetKernel.GuestLib.Names;

/// <summary>
/// The hosts line of nsswitch.conf(5), with this library's service in the place of the C library's "dns". "resolve" (systemd's, which asks the
/// host's own resolver) goes, with its action; it becomes our service where there is no "dns".
/// </summary>
internal static unsafe class SwitchFile
{
    /// <summary>Room for the longest line that is understood.</summary>
    internal const int MaxLine = 512;

    private static ReadOnlySpan<byte> Ours => "netkernel"u8;

    /// <summary>
    /// Writes the services for hosts with a final zero into <paramref name="line"/> (<see cref="MaxLine"/> bytes); the C library's default
    /// when the file does not say. Returns the length without the zero, or -1 for a line that is too long.
    /// </summary>
    internal static int Hosts(byte* text, int length, byte* line)
    {
        int from = -1;
        int to = 0;
        for (int at = 0; at < length;)
        {
            int end = at;
            while (end < length && text[end] != '\n')
            {
                end++;
            }

            int start = SkipBlanks(text, at, end);
            if (StartsWith(text, start, end, "hosts"u8) && SkipBlanks(text, start + 5, end) is int colon && colon < end && text[colon] == ':')
            {
                from = colon + 1;
                to = from;
                while (to < end && text[to] != '#')
                {
                    to++;
                }
            }

            at = end + 1;
        }

        fixed (byte* standard = "files dns"u8)
        {
            return from < 0 ? Translate(standard, 9, line) : Translate(text + from, to - from, line);
        }
    }

    /// <summary>Translates one list of services and actions.</summary>
    internal static int Translate(byte* services, int length, byte* line)
    {
        bool dns = false;
        bool resolve = false;
        for (int at = 0; NextWord(services, length, ref at, out int start, out int end);)
        {
            dns |= Is(services, start, end, "dns"u8);
            resolve |= Is(services, start, end, "resolve"u8);
        }

        int used = 0;
        bool dropping = false;
        for (int at = 0; NextWord(services, length, ref at, out int start, out int end);)
        {
            bool action = services[start] == '[';
            dropping = action ? dropping : Is(services, start, end, "resolve"u8);
            if (dropping)
            {
                continue;
            }

            bool replaced = Is(services, start, end, "dns"u8);
            int bytes = replaced ? Ours.Length : end - start;
            if (used + bytes + 1 >= MaxLine)
            {
                return -1;
            }

            used = Separate(line, used);
            for (int i = 0; i < bytes; i++)
            {
                line[used++] = replaced ? Ours[i] : services[start + i];
            }
        }

        if (resolve && !dns)
        {
            if (used + Ours.Length + 1 >= MaxLine)
            {
                return -1;
            }

            used = Separate(line, used);
            for (int i = 0; i < Ours.Length; i++)
            {
                line[used++] = Ours[i];
            }
        }

        line[used] = 0;
        return used;
    }

    private static int Separate(byte* line, int used)
    {
        if (used > 0)
        {
            line[used++] = (byte)' ';
        }

        return used;
    }

    // A word without blanks, or everything from '[' to ']'.
    private static bool NextWord(byte* text, int length, ref int at, out int start, out int end)
    {
        start = SkipBlanks(text, at, length);
        end = start;
        bool action = end < length && text[end] == '[';
        while (end < length && (action || (!IsBlank(text[end]) && text[end] != '[')))
        {
            if (text[end++] == ']' && action)
            {
                break;
            }
        }

        at = end;
        return end > start;
    }

    private static bool Is(byte* text, int start, int end, ReadOnlySpan<byte> word) => end - start == word.Length && StartsWith(text, start, end, word);

    private static bool StartsWith(byte* text, int start, int end, ReadOnlySpan<byte> word)
    {
        if (end - start < word.Length)
        {
            return false;
        }

        for (int i = 0; i < word.Length; i++)
        {
            if (text[start + i] != word[i])
            {
                return false;
            }
        }

        return true;
    }

    private static int SkipBlanks(byte* text, int at, int end)
    {
        while (at < end && IsBlank(text[at]))
        {
            at++;
        }

        return at;
    }

    private static bool IsBlank(byte c) => c is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\v' or (byte)'\f';
}
