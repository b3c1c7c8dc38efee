namespace NetKernel.Matrix.Tests.Framework;

/// <summary>Clients that fetch one page over and over, each time over a new connection, while something happens to the server: not one may fail.</summary>
internal sealed class Load
{
    private readonly World _world;
    private readonly RunningProgram _program;

    /// <summary>Starts fetching on the client machine, from the server or the machine given; returns once a hundred pages have come.</summary>
    public Load(World world, int port, string path = "/")
    {
        _world = world;
        _program = world.Client.Start("/usr/bin/python3", World.Own("load.py"), Machines.Ipv4(Machines.Server), $"{port}", path, "load.stop");
        AwaitMore();
    }

    /// <summary>Waits until more has been fetched: what happened before this call is behind all of that.</summary>
    public void AwaitMore()
    {
        File.Delete(_world.At("load.more"));
        Assert.True(
            Cli.Testbed.NkInstance.WaitFor(() => File.Exists(_world.At("load.more")) || _program.Process.Ended, Patience.Long) && !_program.Process.Ended,
            $"the load does not go on: {_program}");
    }

    /// <summary>Ends it and writes down what came and what failed.</summary>
    public void End()
    {
        File.WriteAllText(_world.At("load.stop"), "");
        _program.EndsAndShows();
    }
}
