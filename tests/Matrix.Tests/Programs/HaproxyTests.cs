using NetKernel.Cli.Testbed;
using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>haproxy before two servers in a second guest: TCP mode, HTTP mode, health checks, reload of its master under load.</summary>
[Collection(MatrixFixture.Name)]
public sealed class HaproxyTests(MatrixFixture matrix)
{
    private const string Config = """
        global
            master-worker
            pidfile @/haproxy.pid
            user haproxy
            group haproxy
            stats socket @/admin.sock mode 600 level admin expose-fd listeners
            maxconn 500
            nbthread 2
        defaults
            timeout connect 5s
            timeout client 30s
            timeout server 30s
            timeout check 30s
            retries 2
        frontend web
            mode http
            bind :80
            bind :::80 v6only
            option forwardfor
            default_backend pages
        backend pages
            mode http
            balance roundrobin
            option httpchk GET /health
            server one $PEER:8001 check inter 100ms
            server two $PEER:8002 check inter 100ms
        listen gone
            mode tcp
            bind :7001
            server gone $PEER:8009 check inter 100ms
        listen plain
            mode tcp
            bind :7000
            server echo $PEER:7002

        """;

    // Two small servers in one Python program: which one it is, and whom haproxy forwards for.
    private const string Pages = """
        import http.server, threading
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            def do_GET(self):
                body = f"{self.server.server_port} {self.path} for {self.headers['X-Forwarded-For']} by {self.client_address[0]}\n".encode()
                if self.path == "/page":
                    body = b"page\n"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *args):
                pass
        class Server(http.server.ThreadingHTTPServer):
            request_queue_size = 128
        servers = [Server(("0.0.0.0", port), Handler) for port in (8001, 8002)]
        threading.Thread(target=servers[0].serve_forever, daemon=True).start()
        servers[1].serve_forever()
        """;

    [ProgramTheory, EveryNsm]
    public void Both_modes(string nsm) => matrix.Same(nsm, connections: 40, bytes: 20L << 20, world =>
    {
        _ = world.WriteNoise("big.bin", 6 << 20);
        RunningProgram pages = StartPages(world);
        RunningProgram echo = world.Peer.Serve(7002, "socat", "-t", "10", "TCP-LISTEN:7002,fork,reuseaddr", "EXEC:cat");
        RunningProgram haproxy = Start(world);
        world.Client.Shows("for i in 1 2 3 4; do curl -sS http://$SERVER/$i; done | sort; curl -sS http://[$SERVER6]/v6 | cut -d' ' -f2-");
        world.Outside.Shows("curl -sS http://$SERVER/outside http://$SERVER/again -w '%{num_connects}\\n' | cut -d' ' -f2-");
        // haproxy closes without reading: whether curl sees the end (52) or the reset that follows it (56) is chance.
        world.Client.Shows("curl -sS http://$SERVER:7001/ 2>/dev/null; case $? in 52|56) echo closed;; *) echo $?;; esac");
        world.Client.Shows("socat -t 10 - TCP:$SERVER:7000 < big.bin | sha256sum; sha256sum < big.bin");
        world.Server.Shows("echo 'show stat' | socat - UNIX-CONNECT:admin.sock | cut -d, -f1,2,18 | grep 'pages,\\|gone,'");
        Stop(haproxy, pages, echo);
    });

    [ProgramTheory, EveryNsm]
    public void A_reload_under_load_fails_no_request(string nsm) => matrix.Same(nsm, connections: 800, bytes: 50_000, world =>
    {
        RunningProgram pages = StartPages(world);
        RunningProgram haproxy = Start(world);
        var load = new Load(world, 80, "/page");
        for (int round = 0; round < 2; round++)
        {
            int[] before = Processes.Children(haproxy.Pid);
            haproxy.Signal(Signals.User2);
            Assert.True(
                NkInstance.WaitFor(() => Processes.Children(haproxy.Pid) is { Length: > 0 } now && !now.Intersect(before).Any(), Patience.Long),
                $"the old workers {string.Join(' ', before)} stay: {string.Join(' ', Processes.Children(haproxy.Pid))}");
            load.AwaitMore();
        }

        load.End();
        Stop(haproxy, pages);
    });

    private static RunningProgram StartPages(World world) => world.Peer.Serve(8002, "/usr/bin/python3", world.Write("pages.py", Pages));

    private static RunningProgram Start(World world)
    {
        _ = world.Write("haproxy.cfg", Config);
        RunningProgram haproxy = world.Server.Serve(80, "/usr/sbin/haproxy", "-W", "-db", "-f", "haproxy.cfg");
        world.Server.Until("echo 'show stat' | socat - UNIX-CONNECT:admin.sock | grep -q 'gone,.*DOWN'");
        return haproxy;
    }

    private static void Stop(params RunningProgram[] programs) => Assert.All(programs, program => program.Stop());
}
