using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Kernel;

internal static class Program
{
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

    private static int Main(string[] arguments) => NsmProgram.Run(Settings.Program, Help, arguments, given => new Module(Settings.Parse(given)));
}
