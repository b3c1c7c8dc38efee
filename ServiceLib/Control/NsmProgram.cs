using System.Runtime.InteropServices;

namespace NetKernel.ServiceLib;

/// <summary>An NSM that has attached to CoreEngine and serves when it is told to.</summary>
public interface INsm : IDisposable
{
    /// <summary>Serves in the calling thread until CoreEngine is gone or somebody stops it.</summary>
    HostExit Run();

    /// <summary>Ends <see cref="Run"/>; from any thread.</summary>
    void Stop();
}

/// <summary>The program that nkd starts for an NSM: help, signals, and what its exit codes mean.</summary>
public static class NsmProgram
{
    private const int Refused = 1, BadArguments = 2, EngineGone = 3;

    /// <summary>Runs an NSM to its end.</summary>
    /// <param name="name">The program's name, before its messages.</param>
    /// <param name="help">What --help prints.</param>
    /// <param name="arguments">The command line.</param>
    /// <param name="open">Reads the command line (ArgumentException: it is wrong), opens the stack and attaches (<see cref="NsmStartException"/>).</param>
    /// <returns>Exit code: 0 when it was stopped (SIGTERM, SIGINT), 1 when it could not start, 2 for a wrong command line, 3 when CoreEngine is gone.</returns>
    public static int Run(string name, string help, string[] arguments, Func<string[], INsm> open)
    {
        if (arguments is ["--help"] or ["-h"])
        {
            Console.Out.WriteLine(help);
            return 0;
        }

        try
        {
            using INsm nsm = open(arguments);
            return Serve(nsm) == HostExit.Stopped ? 0 : Fail(EngineGone, "CoreEngine is gone");
        }
        catch (ArgumentException e)
        {
            return Fail(BadArguments, e.Message);
        }
        catch (NsmStartException e)
        {
            return Fail(Refused, e.Message);
        }

        int Fail(int code, string message)
        {
            Console.Error.WriteLine($"{name}: {message}");
            return code;
        }
    }

    private static HostExit Serve(INsm nsm)
    {
        using PosixSignalRegistration term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        return nsm.Run();

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            nsm.Stop();
        }
    }
}

/// <summary>An NSM cannot start; the message says why, to a person.</summary>
public abstract class NsmStartException(string message) : Exception(message);
