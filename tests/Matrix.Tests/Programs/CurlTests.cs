using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>curl against nginx: HTTP/1.1 and HTTP/2, with TLS, up and down, many at once.</summary>
[Collection(MatrixFixture.Name)]
public sealed class CurlTests(MatrixFixture matrix)
{
    private const string Config = """
        worker_processes 2;
        user www-data;
        daemon off;
        pid @/nginx.pid;
        error_log @/error.log;
        events { worker_connections 256; }
        http {
            access_log off;
            client_max_body_size 100m;
            client_body_temp_path @/tmp-body;
            proxy_temp_path @/tmp-proxy;
            fastcgi_temp_path @/tmp-fastcgi;
            uwsgi_temp_path @/tmp-uwsgi;
            scgi_temp_path @/tmp-scgi;
            ssl_certificate @/cert.pem;
            ssl_certificate_key @/key.pem;
            server { listen 80; listen [::]:80; root @/www; }
            server {
                listen 443 ssl http2;
                listen [::]:443 ssl http2;
                root @/www;
                dav_methods PUT;
                add_header X-Protocol "$server_protocol $ssl_protocol";
            }
        }
        """;

    [ProgramTheory, EveryNsm(Mtcp = true)]
    public void Every_protocol(string nsm) => matrix.Same(nsm, connections: 15, bytes: 60L << 20, world =>
    {
        _ = world.WriteNoise("www/big.bin", 10 << 20);
        _ = world.Write("www/small.txt", "small\n");
        _ = world.Write("nginx.conf", Config);
        world.Outside.Must(
            "chmod 777 www; openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=server.test -addext subjectAltName=DNS:server.test 2>/dev/null");
        RunningProgram nginx = world.Server.Serve(443, "/usr/sbin/nginx", "-p", ".", "-e", "error.log", "-c", "nginx.conf");
        world.Client.Must("""
            cat > curlrc <<END
            cacert = cert.pem
            resolve = server.test:443:$SERVER,[$SERVER6]
            max-time = 20
            silent
            show-error
            no-progress-meter
            write-out = "%{http_code} %{http_version} %{size_download} %{size_upload} %{num_connects} %{errormsg}\\n"
            END
            """);
        world.Client.Shows("curl -K curlrc http://$SERVER/big.bin -o 1 http://$SERVER/small.txt -o 2; cat 1 2 | sha256sum");
        world.Client.Shows("curl -K curlrc --http1.1 -D - https://server.test/small.txt | grep -v '^Date\\|^Last\\|^ETag'");
        world.Client.Shows("curl -K curlrc --http2 -6 https://server.test/big.bin | sha256sum");
        world.Client.Shows("curl -K curlrc --tls-max 1.2 --http2 -T www/big.bin https://server.test/up.bin; cmp www/big.bin www/up.bin");
        world.Client.Shows("curl -K curlrc --limit-rate 20M https://server.test/big.bin -o limited; cmp limited www/big.bin");
        world.Client.Shows("curl -K curlrc --parallel --parallel-max 10 -o 'many#1' 'https://server.test/[1-30].none' | sort | uniq -c; grep -h -c 404 many* | sort | uniq -c");
        world.Client.Shows("curl -K curlrc --http1.1 --parallel --parallel-immediate --parallel-max 8 -o 'big#1' 'https://server.test/big.bin?[1-8]' | sort | uniq -c; cat big? | sha256sum");
        world.Outside.Shows("curl -K curlrc --http2 https://server.test/big.bin | sha256sum");
        world.Transcript.Mask("after [0-9]+ ms: Couldn't", "after N ms: Couldn't");
        world.Client.Shows("curl -K curlrc https://$SERVER/; curl -K curlrc http://$SERVER:81/; curl -K curlrc --connect-timeout 0.3 http://198.18.77.77/ 2>&1 | sed 's/[0-9]* ms/ms/' ; echo ${PIPESTATUS[0]}");
        nginx.Stop(Signals.Quit);
        world.Server.Shows("sed 's/^.*#[0-9]*: [*][0-9]* //' error.log | sort | uniq -c");
    });
}
