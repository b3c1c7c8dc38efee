using System.Globalization;
using NetKernel.Cli.Testbed;
using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>nginx replaced by a new one that inherits its listener across exec.</summary>
[Collection(MatrixFixture.Name)]
public sealed class NginxUpgradeTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void A_binary_upgrade_under_load_fails_no_request(string nsm) => matrix.Same(nsm, connections: 500, bytes: 50_000, world =>
    {
        _ = world.Write("www/index.html", "<p>served\n");
        _ = world.Write(
            "nginx.conf",
            """
            worker_processes 3; user www-data; pid @/nginx.pid; error_log @/error.log; events { worker_connections 256; }
            http { access_log off; server { listen 80; root @/www; } }
            """);
        RunningProgram old = world.Server.Daemon(80, "nginx.pid", "/usr/sbin/nginx", "-p", ".", "-e", "error.log", "-c", "nginx.conf");
        var load = new Load(world, 80);
        old.Signal(Signals.User2);
        int master = 0; // the pid file is there, and empty, before the number is
        Assert.True(
            NkInstance.WaitFor(() => File.Exists(world.At("nginx.pid.oldbin")) && int.TryParse(world.Tail("nginx.pid"), CultureInfo.InvariantCulture, out master), Patience.Long),
            "no new master");
        Assert.NotEqual(old.Pid, master);
        Assert.True(NkInstance.WaitFor(() => Processes.Children(master).Length == 3, Patience.Long), "the new master has not its workers");
        load.AwaitMore();
        old.Stop(Signals.Quit);
        load.AwaitMore();
        load.End();
        RunningProgram nginx = old.Becomes("nginx.pid");
        world.Outside.Shows("curl -sS $SERVER");
        nginx.Stop(Signals.Quit);
        world.Server.Shows("sed 's/^.*#[0-9]*: //' error.log");
    });
}
