namespace NetKernel.Matrix.Tests.Framework;

/// <summary>How long the tests wait before they take something for stuck. Nothing is measured by it: a machine with ten times more tasks than cores is slow.</summary>
internal static class Patience
{
    /// <summary>For a program to start, to end, or to come to a state.</summary>
    public static readonly TimeSpan Long = TimeSpan.FromMinutes(2);

    /// <summary>For a command that looks at something.</summary>
    public static readonly TimeSpan Short = TimeSpan.FromSeconds(30);
}
