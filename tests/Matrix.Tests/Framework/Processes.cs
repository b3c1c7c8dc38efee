using System.Globalization;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>Looks at processes that the tests started.</summary>
internal static class Processes
{
    /// <summary>The children of a process; none when it is gone.</summary>
    public static int[] Children(int pid)
    {
        try
        {
            return [.. File.ReadAllText($"/proc/{pid}/task/{pid}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(text => int.Parse(text, CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return [];
        }
    }
}
