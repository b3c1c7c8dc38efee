using NetKernel.Cli.Testbed;
using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>nginx: workers that change their user, sendfile, reload under load, a proxy.</summary>
[Collection(MatrixFixture.Name)]
public sealed class NginxTests(MatrixFixture matrix)
{
    private const string Head = """
        worker_processes 3;
        user www-data;
        pid @/nginx.pid;
        error_log @/error.log;
        events { worker_connections 256; }
        http {
            log_format with_source '$remote_addr "$request" $status $body_bytes_sent';
            access_log @/access.log with_source;
            sendfile on;
            client_max_body_size 100m;
            client_body_temp_path @/tmp-body;
            proxy_temp_path @/tmp-proxy;
            fastcgi_temp_path @/tmp-fastcgi;
            uwsgi_temp_path @/tmp-uwsgi;
            scgi_temp_path @/tmp-scgi;

        """;

    private static readonly string[] Command = ["/usr/sbin/nginx", "-p", ".", "-e", "error.log", "-c", "nginx.conf"];

    [ProgramTheory, EveryNsm(Mtcp = true, Shared = true)]
    public void Files_to_clients_everywhere(string nsm) => matrix.Same(nsm, connections: 8, bytes: 200L << 20, world =>
    {
        _ = world.Write("www/index.html", "<p>served\n");
        _ = world.WriteNoise("www/big.bin", 100 << 20);
        RunningProgram nginx = Start(world, "server { listen 80; listen [::]:80; root @/www; }");
        const string Fetch = "curl -sS --max-time 20 -o /dev/null -w '%{http_code} %{size_download} %{local_ip} %{remote_ip}:%{remote_port}\\n' ";
        world.Client.Shows("curl -sS $SERVER; curl -sSi http://[$SERVER6]/none | grep -v ^Date");
        world.Client.Shows("curl -sS --max-time 20 http://$SERVER/big.bin | sha256sum");
        world.Outside.Shows("curl -sS --max-time 20 http://[$SERVER6]/big.bin | sha256sum");
        world.Client.Shows(Fetch + "-r 1000000-1999999 $SERVER/big.bin");
        world.Client.Shows(Fetch + "$SERVER/index.html $SERVER/index.html -o /dev/null");
        world.Outside.Shows(Fetch + "$SERVER/index.html");
        world.Server.Shows("curl -sS http://127.0.0.1/; curl -sS http://$SERVER/");
        nginx.Stop(Signals.Quit);
        world.Server.Shows("sort access.log; sed 's/^.*#[0-9]*: [*][0-9]* //' error.log");
    });

    [ProgramTheory, EveryNsm]
    public void A_reload_under_load_fails_no_request(string nsm) => matrix.Same(nsm, connections: 1000, bytes: 50_000, world =>
    {
        _ = world.Write("www/index.html", "<p>served\n");
        RunningProgram nginx = Start(world, "server { listen 80; root @/www; }");
        var load = new Load(world, 80);
        for (int round = 0; round < 3; round++)
        {
            int[] before = Processes.Children(nginx.Pid);
            nginx.Signal(Signals.Hangup);
            Assert.True(
                NkInstance.WaitFor(() => Processes.Children(nginx.Pid) is { Length: 3 } now && !now.Intersect(before).Any(), Patience.Long),
                "nginx did not replace its workers");
            load.AwaitMore();
        }

        load.End();
        nginx.Stop(Signals.Quit);
        world.Server.Shows("cat error.log");
    });

    [ProgramTheory, EveryNsm]
    public void A_proxy_to_a_second_guest(string nsm) => matrix.Same(nsm, connections: 40, bytes: 60L << 20, world =>
    {
        _ = world.WriteNoise("upload.bin", 10 << 20);
        _ = world.Write(
            "peer/nginx.conf",
            Head.Replace("@/", "@/peer/", StringComparison.Ordinal)
                + "server { listen 8080; root @/peer/www; dav_methods PUT; create_full_put_path on; location /who { return 200 \"$remote_addr for $http_x_forwarded_for\\n\"; } } }");
        world.Peer.Must("mkdir -p peer/www && chmod 777 peer/www");
        RunningProgram upstream = world.Peer.Daemon(8080, "peer/nginx.pid", "/usr/sbin/nginx", "-p", "peer", "-e", "error.log", "-c", "nginx.conf");
        RunningProgram nginx = Start(
            world,
            """
            upstream peer { server $PEER:8080; keepalive 4; }
            server {
                listen 80;
                location / {
                    proxy_pass http://peer;
                    proxy_http_version 1.1;
                    proxy_set_header Connection "";
                    proxy_set_header X-Forwarded-For $remote_addr;
                }
                location /gone/ { proxy_pass http://$PEER:9/; }
            }
            """);
        world.Client.Shows("curl -sS -T upload.bin http://$SERVER/a/up.bin -w '%{http_code} %{size_upload}\\n'");
        world.Client.Shows("for i in 1 2; do curl -sS http://$SERVER/a/up.bin | sha256sum; done; sha256sum < upload.bin");
        world.Client.Shows("for i in `seq 30`; do curl -sS http://$SERVER/who; done");
        world.Outside.Shows("curl -sS http://$SERVER/who; curl -sS -o /dev/null -w '%{http_code}\\n' http://$SERVER/gone/");
        nginx.Stop(Signals.Quit);
        upstream.Stop(Signals.Quit);
        world.Server.Shows("cat access.log; sed 's/^.*#[0-9]*: [*][0-9]* //' error.log; cat peer/error.log");
    });

    private static RunningProgram Start(World world, string servers)
    {
        _ = world.Write("nginx.conf", Head + servers + "\n}\n");
        return world.Server.Daemon(80, "nginx.pid", Command);
    }
}
