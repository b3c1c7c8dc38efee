namespace NetKernel.Stack.Tests;

/// <summary>What scripts begin with.</summary>
internal static class Scripted
{
    /// <summary>A small stack with the simplest congestion control, so that windows can be reckoned by hand.</summary>
    public static readonly StackOptions Reno = new()
    {
        Congestion = CongestionControl.Find("reno")!,
        MaxConnections = 64,
        MaxTimeWait = 64,
        MaxSegments = 1024,
        MaxBlocks = 1024,
    };

    /// <summary>The same, which answers every SYN by a cookie.</summary>
    public static readonly StackOptions Cookies = new() { AlwaysCookies = true, MaxConnections = 64, MaxTimeWait = 64, MaxSegments = 1024, MaxBlocks = 1024 };
}
