using NetKernel.Cli.Testbed;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>A machine of a world, where programs are started.</summary>
internal sealed class Machine(World world, string name)
{
    public string Name => name;

    /// <summary>Starts a program that goes on; it must have ended at the end of the scenario. It runs in the scenario's folder.</summary>
    public RunningProgram Start(params IEnumerable<string> command) => world.Start(name, command);

    /// <summary>Starts a server and waits until it listens.</summary>
    public RunningProgram Serve(int port, params IEnumerable<string> command)
    {
        RunningProgram program = Start(command);
        Listening(port, program);
        return program;
    }

    /// <summary>Starts a server that becomes a daemon: the command must end with 0; the daemon is known by its pid file.</summary>
    public RunningProgram Daemon(int port, string pidFile, params IEnumerable<string> command)
    {
        RunningProgram starter = Start(command);
        starter.Ends();
        Listening(port, starter);
        return starter.Becomes(pidFile);
    }

    /// <summary>Waits until the machine listens on a TCP port.</summary>
    public void Listening(int port, RunningProgram? program = null) => Assert.True(
        NkInstance.WaitFor(() => world.Listens(name, port) || program?.FailedToStart == true, Patience.Long) && world.Listens(name, port), $"{name} does not listen on port {port}");

    /// <summary>Runs a shell script (bash) to its end and writes down what it printed and its exit code. $SERVER, $SERVER6, $CLIENT ... are addresses.</summary>
    public void Shows(string script, int seconds = 120)
    {
        CommandResult result = Run(script, seconds);
        world.Transcript.Add($"{name}$ {script}\n{result.Output}{(result.Output.Length > 0 && result.Output[^1] != '\n' ? "(no newline)\n" : "")}{result.Error}");
        world.Transcript.Add($"[{result.ExitCode}]");
    }

    /// <summary>Runs a shell script that must succeed; what it prints is returned and not compared.</summary>
    public string Must(string script, int seconds = 120)
    {
        CommandResult result = Run(script, seconds);
        return result.ExitCode == 0 ? result.Output : throw new InvalidOperationException($"{name}: {script}: {result}");
    }

    /// <summary>Repeats a shell script until it succeeds.</summary>
    public void Until(string script) => Assert.True(
        NkInstance.WaitFor(() => world.Shell(name, script, Patience.Short).Succeeded, Patience.Long), $"{name}: this did not come true: {script}");

    private CommandResult Run(string script, int seconds)
    {
        CommandResult result = world.Shell(name, script, TimeSpan.FromSeconds(seconds));
        return result.TimedOut ? throw new InvalidOperationException($"{name}: {script}: not done after {seconds} s\n{result.Tail()}") : result;
    }
}
