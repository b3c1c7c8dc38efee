namespace NetKernel.GuestLib.Names;

/// <summary>
/// Domain names in messages (RFC 1035 sections 2.3.4, 3.1 and 4.1.4). Every byte comes from a stranger: each step is bounded by the message and
/// by the 255 bytes that a name may have.
/// </summary>
internal static unsafe class DnsName
{
    /// <summary>The longest name uncompressed, its final zero included (RFC 1035 section 2.3.4).</summary>
    internal const int MaxWire = 255;

    /// <summary>Room for the text of any name, its final zero included: every byte may become \DDD (NS_MAXDNAME).</summary>
    internal const int MaxText = 1025;

    /// <summary>No name of 127 labels needs more pointers; what does is a loop.</summary>
    private const int MaxPointers = 128;

    /// <summary>The offset behind a name that starts at <paramref name="at"/>, or -1. Pointers are not followed.</summary>
    internal static int Skip(byte* message, int length, int at)
    {
        while ((uint)at < (uint)length)
        {
            int label = message[at];
            if (label == 0)
            {
                return at + 1;
            }

            if (label >= 0xC0)
            {
                return at + 2 <= length ? at + 2 : -1;
            }

            if (label > 63)
            {
                return -1;
            }

            at += 1 + label;
        }

        return -1;
    }

    /// <summary>
    /// Writes a name without compression, as labels, into <paramref name="wire"/> (<see cref="MaxWire"/> bytes). Its length with the final zero,
    /// or -1 when it is no name.
    /// </summary>
    internal static int Unpack(byte* message, int length, int at, byte* wire)
    {
        int used = 0;
        int pointers = 0;
        while ((uint)at < (uint)length)
        {
            int label = message[at];
            if (label >= 0xC0)
            {
                if (at + 1 >= length || ++pointers > MaxPointers)
                {
                    return -1;
                }

                at = ((label & 0x3F) << 8) | message[at + 1];
                continue;
            }

            if (label > 63 || used + 1 + label + (label == 0 ? 0 : 1) > MaxWire || at + 1 + label > length)
            {
                return -1;
            }

            for (int i = 0; i <= label; i++)
            {
                wire[used + i] = message[at + i];
            }

            used += 1 + label;
            if (label == 0)
            {
                return used;
            }

            at += 1 + label;
        }

        return -1;
    }

    /// <summary>Whether two names in the form of <see cref="Unpack"/> are the same (RFC 1035 section 2.3.3: ASCII letters in either case).</summary>
    internal static bool Same(byte* a, byte* b)
    {
        for (int at = 0; a[at] == b[at]; at += 1 + a[at])
        {
            if (a[at] == 0)
            {
                return true;
            }

            for (int i = 1; i <= a[at]; i++)
            {
                if (Lower(a[at + i]) != Lower(b[at + i]))
                {
                    return false;
                }
            }
        }

        return false;
    }

    /// <summary>Whether programs can take it for the name of a host: letters, digits, '-' and '_', not starting with '-' (res_hnok).</summary>
    internal static bool IsHost(byte* wire)
    {
        if (wire[0] > 0 && wire[1] == (byte)'-')
        {
            return false;
        }

        for (int at = 0; wire[at] != 0; at += 1 + wire[at])
        {
            for (int i = 1; i <= wire[at]; i++)
            {
                byte c = wire[at + i];
                if (!((uint)(c - 'a') < 26 || (uint)(c - 'A') < 26 || (uint)(c - '0') < 10 || c == '-' || c == '_'))
                {
                    return false;
                }
            }
        }

        return true;
    }

    /// <summary>
    /// The text of a name with a final zero, as dn_expand(3) writes it: no dot at the end, "" for the root, escapes for what is not plain.
    /// <paramref name="text"/> has <see cref="MaxText"/> bytes; the length without the zero is returned.
    /// </summary>
    internal static int ToText(byte* wire, byte* text)
    {
        int used = 0;
        for (int at = 0; wire[at] != 0; at += 1 + wire[at])
        {
            if (used > 0)
            {
                text[used++] = (byte)'.';
            }

            for (int i = 1; i <= wire[at]; i++)
            {
                byte c = wire[at + i];
                if (c is <= 0x20 or >= 0x7F)
                {
                    text[used++] = (byte)'\\';
                    text[used++] = (byte)('0' + (c / 100));
                    text[used++] = (byte)('0' + (c / 10 % 10));
                    text[used++] = (byte)('0' + (c % 10));
                    continue;
                }

                if (c is (byte)'"' or (byte)'.' or (byte)';' or (byte)'\\' or (byte)'(' or (byte)')' or (byte)'@' or (byte)'$')
                {
                    text[used++] = (byte)'\\';
                }

                text[used++] = c;
            }
        }

        text[used] = 0;
        return used;
    }

    private static byte Lower(byte c) => (uint)(c - 'A') < 26 ? (byte)(c | 0x20) : c;
}
