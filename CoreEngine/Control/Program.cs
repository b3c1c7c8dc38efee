using System.IO;
using System.Runtime.InteropServices;

namespace NetKernel.CoreEngine.Control;

/// <summary>nk-engine: starts the loops, and ends in order on SIGTERM, SIGINT or the control plane's word.</summary>
internal static class Program
{
    private static int Main(string[] args)
    {
        if (!EngineOptions.TryParse(args, out EngineOptions options, out string problem))
        {
            Console.Error.WriteLine($"nk-engine: {problem}");
            return 2;
        }

        if (options.Help)
        {
            Console.Out.WriteLine(EngineOptions.Usage);
            return 0;
        }

        Engine engine;
        try
        {
            engine = new Engine(options);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"nk-engine: {e.Message}");
            return 1;
        }

        using (engine)
        using (PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => { c.Cancel = true; engine.RequestStop(); }))
        using (PosixSignalRegistration.Create(PosixSignal.SIGINT, c => { c.Cancel = true; engine.RequestStop(); }))
        {
            engine.Run();
        }

        return 0;
    }
}
