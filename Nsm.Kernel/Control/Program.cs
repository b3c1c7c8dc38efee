using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

internal static class Program
{
    private const int Refused = 1, BadArguments = 2, EngineGone = 3;

    private const string Help = """
        nk-nsm-kernel --run-dir DIR --id N [options]
        The network stack module whose stack is Linux's own. nkd starts it.

          --run-dir DIR          where CoreEngine's engine.sock is
          --id N                 this NSM's id, as announced to CoreEngine
          --mode bridge|host     bridge (default): each guest's own addresses in this network namespace; host: the host's stack, but for
                                 its loopback; private: the same with loopback, in a network namespace that is the guests' alone (tests)
          --congestion NAME      congestion control of every socket (cubic, bbr, reno ...)
          --sndbuf BYTES         SO_SNDBUF of every socket
          --rcvbuf BYTES         SO_RCVBUF of every socket

        It ends with 0 on SIGTERM, 1 when CoreEngine refuses it or cannot be reached, 2 for a wrong command line, 3 when CoreEngine is gone.
        """;

    private static int Main(string[] arguments)
    {
        if (arguments is ["--help"] or ["-h"])
        {
            Console.Out.WriteLine(Help);
            return 0;
        }

        try
        {
            return Run(Settings.Parse(arguments));
        }
        catch (ArgumentException e)
        {
            return Fail(BadArguments, e.Message);
        }
        catch (AttachException e)
        {
            return Fail(Refused, e.Message);
        }
    }

    private static int Run(Settings settings)
    {
        Sys.RaiseFileLimit();
        using NsmChannel channel = NsmChannel.Attach(settings.RunDirectory, settings.Id);
        StackHost host = new(channel, new KernelStack(settings));
        using ReportSocket reports = ReportSocket.Listen(ReportAnswer.PathOf(settings.RunDirectory, settings.Id));
        host.Report(reports);
        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        _ = Scheduling.TakeShortSlices();
        HostExit exit = host.Run(new IdleStrategy(spins: 0, yields: 20));
        return exit == HostExit.Stopped ? 0 : Fail(EngineGone, "CoreEngine is gone");

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            host.Stop();
        }
    }

    private static int Fail(int code, string message)
    {
        Console.Error.WriteLine("nk-nsm-kernel: " + message);
        return code;
    }
}
