using NetKernel.Cli.Testbed;
using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Apache httpd with its process-only and its threaded engine: files, keep-alive, POST to CGI, graceful restart under load, graceful stop.</summary>
[Collection(MatrixFixture.Name)]
public sealed class ApacheTests(MatrixFixture matrix)
{
    private const string Common = """
        ServerName server.test
        PidFile @/apache.pid
        ErrorLog @/error.log
        LogLevel error
        DefaultRuntimeDir @/
        User www-data
        Group www-data
        Listen 80
        LoadModule authz_core_module modules/mod_authz_core.so
        LoadModule cgi_module modules/mod_cgi.so
        LoadModule alias_module modules/mod_alias.so
        LoadModule dir_module modules/mod_dir.so
        DocumentRoot @/www
        ScriptAlias /cgi/ @/cgi/
        EnableSendfile On
        LogFormat "%a \"%r\" %>s %B" source
        CustomLog @/access.log source

        """;

    private const string Prefork = """
        ServerRoot /usr/lib/apache2
        LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
        StartServers 4
        MinSpareServers 4
        MaxSpareServers 8
        MaxRequestWorkers 40

        """;

    private const string Event = """
        ServerRoot /usr/lib/apache2
        LoadModule mpm_event_module modules/mod_mpm_event.so
        StartServers 2
        ThreadsPerChild 16
        MinSpareThreads 8
        MaxSpareThreads 64
        MaxRequestWorkers 128

        """;

    [ProgramTheory, EveryNsm]
    public void Prefork_serves(string nsm) => matrix.Same(nsm, connections: 25, bytes: 80L << 20, world => Serve(world, Prefork));

    [ProgramTheory, EveryNsm]
    public void Event_serves(string nsm) => matrix.Same(nsm, connections: 25, bytes: 80L << 20, world => Serve(world, Event));

    [ProgramTheory, EveryNsm]
    public void A_graceful_restart_of_prefork_under_load(string nsm) => matrix.Same(nsm, connections: 400, bytes: 50_000, world => Restart(world, Prefork));

    [ProgramTheory, EveryNsm]
    public void A_graceful_restart_of_event_under_load(string nsm) => matrix.Same(nsm, connections: 400, bytes: 50_000, world => Restart(world, Event));

    private static void Serve(World world, string engine)
    {
        _ = world.WriteNoise("www/big.bin", 20 << 20);
        RunningProgram apache = Start(world, engine);
        world.Client.Shows("curl -sS $SERVER; curl -sSi $SERVER/none | grep -v '^Date'; curl -sS $SERVER/index.html $SERVER/index.html -w '%{num_connects}\\n'");
        world.Client.Shows("curl -sS $SERVER/big.bin | sha256sum; sha256sum < www/big.bin");
        world.Client.Shows("head -c 5000000 www/big.bin > post; curl -sS --data-binary @post http://[$SERVER6]/cgi/sum; sha256sum < post");
        world.Outside.Shows("curl -sS --parallel --parallel-immediate --parallel-max 24 --no-progress-meter -o \"out#1\" \"http://$SERVER/index.html?[1-48]\"; cat out* | sort | uniq -c");
        world.Client.Shows("for i in 1 2 3; do curl -sS http://$SERVER/big.bin -o got$i & done; wait; cat got? | sha256sum");
        apache.Stop(Signals.WindowChange);
        world.Server.Shows("cut -d? -f1 access.log | sed 's/ 200 10$//' | grep -v OPTIONS | sort | uniq -c; grep -v ':notice' error.log");
    }

    private static void Restart(World world, string engine)
    {
        RunningProgram apache = Start(world, engine);
        var load = new Load(world, 80);
        for (int round = 0; round < 2; round++)
        {
            int[] before = Processes.Children(apache.Pid);
            apache.Signal(Signals.User1);
            Assert.True(
                NkInstance.WaitFor(() => Processes.Children(apache.Pid) is { Length: > 1 } now && !now.Intersect(before).Any(), Patience.Long),
                "the old children stay");
            load.AwaitMore();
        }

        load.End();
        apache.Stop();
        world.Server.Shows("grep -v ':notice' error.log");
    }

    private static RunningProgram Start(World world, string engine)
    {
        _ = world.Write("www/index.html", "<p>served\n");
        _ = world.Write("cgi/sum", "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\necho \"$REMOTE_ADDR $REQUEST_METHOD $CONTENT_LENGTH\"\nsha256sum\n");
        world.Server.Must("chmod 755 cgi/sum; chmod 777 .");
        _ = world.Write("apache.conf", engine + Common);
        return world.Server.Daemon(80, "apache.pid", "/usr/sbin/apache2", "-f", world.At("apache.conf"));
    }
}
