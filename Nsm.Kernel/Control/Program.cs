namespace NetKernel.Nsm.Kernel;

internal static class Program
{
    private static int Main()
    {
        Console.Error.WriteLine("nk-nsm-kernel: not built yet");
        return 1;
    }
}
