namespace NetKernel.GuestLib;

/// <summary>
/// Addresses that the NSM's stack has sent to, or that have sent to this process: a Send to one of them need not be waited for. The first one to any other is, because
/// the kernel tells the caller at once when there is no route or no permission. A forgotten address costs one round through CoreEngine, no more.
/// </summary>
internal static unsafe class Destinations
{
    private const uint Remembered = 256;

    private static Table s_known;

    private struct Table
    {
        internal fixed ulong Halves[2 * (int)Remembered]; // racy between threads: a torn entry is an address that was never noted, or two
    }

    internal static bool IsKnown(ulong low, ulong high)
    {
        uint at = At(low, high);
        return s_known.Halves[at] == low && s_known.Halves[at + 1] == high;
    }

    internal static void Note(ulong low, ulong high)
    {
        uint at = At(low, high);
        if (s_known.Halves[at + 1] != high || s_known.Halves[at] != low)
        {
            s_known.Halves[at] = low;
            s_known.Halves[at + 1] = high;
        }
    }

    private static uint At(ulong low, ulong high) => (uint)((low ^ high) * 0x9E37_79B9_7F4A_7C15 >> 56) * 2;
}
