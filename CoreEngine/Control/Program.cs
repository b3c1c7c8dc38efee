namespace NetKernel.CoreEngine;

internal static class Program
{
    private static int Main()
    {
        Console.Error.WriteLine("nk-engine: not built yet");
        return 1;
    }
}
