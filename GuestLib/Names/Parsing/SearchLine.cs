namespace NetKernel.GuestLib.Names;

/// <summary>The search list of resolv.conf(5), for what struct __res_state has no room for.</summary>
internal static unsafe class SearchLine
{
    /// <summary>No domain is longer.</summary>
    internal const int MaxDomain = 255;

    /// <summary>Copies the n-th domain of the last "search" or "domain" line with a final zero (<see cref="MaxDomain"/> + 1 bytes); false when there is none.</summary>
    internal static bool Find(byte* text, int length, int n, byte* domain)
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

            if (Starts(text, at, end, "search"u8) || Starts(text, at, end, "domain"u8))
            {
                from = at + 6;
                to = end;
            }

            at = end + 1;
        }

        while (from >= 0 && from < to)
        {
            while (from < to && IsBlank(text[from]))
            {
                from++;
            }

            int end = from;
            while (end < to && !IsBlank(text[end]))
            {
                end++;
            }

            if (end == from)
            {
                return false;
            }

            if (n-- == 0)
            {
                int bytes = end - from > MaxDomain ? MaxDomain : end - from;
                for (int i = 0; i < bytes; i++)
                {
                    domain[i] = text[from + i];
                }

                domain[bytes] = 0;
                return true;
            }

            from = end;
        }

        return false;
    }

    /// <summary>
    /// The other name of a host in a file of HOSTALIASES (hostname(7)): lines of a name and its alias. False when it has none; <paramref name="alias"/>
    /// has <see cref="DnsName.MaxText"/> bytes.
    /// </summary>
    internal static bool FindAlias(byte* text, int length, byte* name, int nameLength, byte* alias)
    {
        for (int at = 0; at < length;)
        {
            int end = at;
            while (end < length && text[end] != '\n')
            {
                end++;
            }

            int word = at;
            while (word < end && !IsBlank(text[word]))
            {
                word++;
            }

            if (word == at || word == end)
            {
                return false; // where a line is not as it should be, the C library stops
            }

            if (word - at == nameLength && Same(text + at, name, nameLength))
            {
                while (word < end && IsBlank(text[word]))
                {
                    word++;
                }

                int bytes = 0;
                while (word < end && !IsBlank(text[word]) && bytes < DnsName.MaxText - 1)
                {
                    alias[bytes++] = text[word++];
                }

                alias[bytes] = 0;
                return bytes > 0;
            }

            at = end + 1;
        }

        return false;
    }

    private static bool Same(byte* a, byte* b, int length)
    {
        for (int i = 0; i < length; i++)
        {
            if (a[i] != b[i] && !((a[i] ^ b[i]) == 0x20 && (uint)((a[i] | 0x20) - 'a') < 26))
            {
                return false;
            }
        }

        return true;
    }

    private static bool Starts(byte* text, int at, int end, ReadOnlySpan<byte> word)
    {
        if (end - at <= word.Length || !IsBlank(text[at + word.Length]))
        {
            return false;
        }

        for (int i = 0; i < word.Length; i++)
        {
            if (text[at + i] != word[i])
            {
                return false;
            }
        }

        return true;
    }

    private static bool IsBlank(byte c) => c is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\v' or (byte)'\f';
}
