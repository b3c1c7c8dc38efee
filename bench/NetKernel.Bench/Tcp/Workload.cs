namespace NetKernel.Bench.Tcp;

/// <summary>One measured value of a case. Show: with its unit. The goal is a bound on NetKernel/native: at least, or for times at most.</summary>
internal sealed record Metric(string Name, Func<double, string> Show, double? AtLeast = null, double? AtMost = null)
{
    /// <summary>Whether a ratio meets the goal; null without a goal.</summary>
    public bool? Met(double ratio) => AtLeast is { } least ? ratio >= least : AtMost is { } most ? ratio <= most : null;

    public string Goal => AtLeast is { } least ? Text.Invariant($">= {least:F1}") : AtMost is { } most ? Text.Invariant($"<= {most:F1}") : "";
}

/// <summary>One client run: its command against a server's address, what its output says, and what that is.</summary>
internal sealed record BenchCase(string Name, Func<string, string[]> Client, Func<string, Reading> Read, params Metric[] Metrics);

/// <summary>A server and the cases that run against it. Per is the work that CPU is counted for, e.g. 1e9 bytes.</summary>
internal sealed record Workload(
    string Name, string Title, int Port, Func<string, string[]> Server, string PerName, double Per, BenchCase[] Cases, string[] Programs, Action<string>? Prepare = null);
