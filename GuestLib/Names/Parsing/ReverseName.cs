namespace NetKernel.GuestLib.Names;

/// <summary>Names of addresses in in-addr.arpa (RFC 1035 section 3.5) and ip6.arpa (RFC 3596 section 2.5).</summary>
internal static unsafe class ReverseName
{
    /// <summary>32 digits with dots, "ip6.arpa", and a zero.</summary>
    internal const int Room = 73;

    internal static void Write(byte* address, int length, byte* name)
    {
        for (int i = length - 1; i >= 0; i--)
        {
            int b = address[i];
            if (length == 16)
            {
                *name++ = Digit(b & 15);
                *name++ = (byte)'.';
                *name++ = Digit(b >> 4);
            }
            else
            {
                if (b >= 100)
                {
                    *name++ = Digit(b / 100);
                }

                if (b >= 10)
                {
                    *name++ = Digit(b / 10 % 10);
                }

                *name++ = Digit(b % 10);
            }

            *name++ = (byte)'.';
        }

        foreach (byte c in length == 16 ? "ip6.arpa"u8 : "in-addr.arpa"u8)
        {
            *name++ = c;
        }

        *name = 0;
    }

    private static byte Digit(int value) => (byte)(value < 10 ? '0' + value : 'a' + value - 10);
}
