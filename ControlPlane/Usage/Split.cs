namespace NetKernel.ControlPlane.Usage;

/// <summary>Sharing out whole numbers.</summary>
internal static class Split
{
    /// <summary>
    /// An amount in proportion to weights, in whole numbers whose sum is the amount: what rounding leaves over goes to the first ones with a weight. All zeros when there are no
    /// weights: then the amount is nobody's.
    /// </summary>
    public static long[] InProportion(long amount, IReadOnlyList<ulong> weights)
    {
        var parts = new long[weights.Count];
        UInt128 sum = 0;
        foreach (ulong weight in weights)
        {
            sum += weight;
        }

        if (sum == 0 || amount <= 0)
        {
            return parts;
        }

        long left = amount;
        for (int i = 0; i < parts.Length; i++)
        {
            parts[i] = (long)((UInt128)(ulong)amount * weights[i] / sum);
            left -= parts[i];
        }

        for (int i = 0; left > 0; i = (i + 1) % parts.Length)
        {
            if (weights[i] != 0)
            {
                parts[i]++;
                left--;
            }
        }

        return parts;
    }
}
