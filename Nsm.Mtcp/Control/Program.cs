namespace NetKernel.Nsm.Mtcp;

internal static class Program
{
    private static int Main() => 0;
}
