namespace NetKernel.Stack;

/// <summary>Comparison of sequence numbers, which wrap (RFC 9293, 3.4).</summary>
internal static class Seq
{
    /// <summary>a &lt; b.</summary>
    public static bool Before(uint a, uint b) => (int)(a - b) < 0;

    /// <summary>a &lt;= b.</summary>
    public static bool AtMost(uint a, uint b) => (int)(a - b) <= 0;

    /// <summary>a &gt; b.</summary>
    public static bool After(uint a, uint b) => (int)(a - b) > 0;

    /// <summary>a &gt;= b.</summary>
    public static bool AtLeast(uint a, uint b) => (int)(a - b) >= 0;

    /// <summary>The later of two.</summary>
    public static uint Max(uint a, uint b) => After(a, b) ? a : b;

    /// <summary>The earlier of two.</summary>
    public static uint Min(uint a, uint b) => Before(a, b) ? a : b;
}
