using NetKernel.Cli.Testbed;
using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>gunicorn: forked and threaded workers on one listener, reload and change of their number under load.</summary>
[Collection(MatrixFixture.Name)]
public sealed class GunicornTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Sync_workers_under_load(string nsm) => matrix.Same(nsm, connections: 400, bytes: 1 << 20, world => Play(world, "--workers", "3"));

    [ProgramTheory, EveryNsm]
    public void Threaded_workers_under_load(string nsm) => matrix.Same(nsm, connections: 400, bytes: 1 << 20, world => Play(world, "--workers", "2", "--threads", "4"));

    private static void Play(World world, params string[] workers)
    {
        _ = world.WriteNoise("post", 1 << 20);
        RunningProgram gunicorn = world.Server.Daemon(
            8000, "gunicorn.pid",
            ["/usr/bin/python3", "/usr/bin/gunicorn", "--daemon", "--bind", "[::]:8000", "--pid", "gunicorn.pid", "--log-file", world.At("gunicorn.log"), "--pythonpath", Path.GetDirectoryName(World.Own("wsgi.py"))!, .. workers, "wsgi:app"]);
        world.Client.Shows("curl -sS http://$SERVER:8000/a; curl -sS --data-binary @post http://[$SERVER6]:8000/b");
        // All workers are there before their number changes.
        int count = int.Parse(workers[1], System.Globalization.CultureInfo.InvariantCulture);
        Assert.True(NkInstance.WaitFor(() => Processes.Children(gunicorn.Pid).Length == count, Patience.Long), world.Tail("gunicorn.log"));
        var load = new Load(world, 8000, "/page");
        Change(world, gunicorn, 22 /* SIGTTOU: one worker less */, now => now.Length == 1 || now.Length == 2);
        load.AwaitMore();
        Change(world, gunicorn, Signals.Hangup, now => now.Length >= 1);
        load.AwaitMore();
        load.End();
        world.Outside.Shows("curl -sS http://$SERVER:8000/c");
        gunicorn.Stop();
    }

    private static void Change(World world, RunningProgram gunicorn, int signal, Func<int[], bool> done)
    {
        int[] before = Processes.Children(gunicorn.Pid);
        gunicorn.Signal(signal);
        bool Changed(int[] now) => signal == Signals.Hangup ? !now.Intersect(before).Any() : now.Length < before.Length;
        Assert.True(NkInstance.WaitFor(() => Processes.Children(gunicorn.Pid) is var now && done(now) && Changed(now), Patience.Long), world.Tail("gunicorn.log"));
    }
}
