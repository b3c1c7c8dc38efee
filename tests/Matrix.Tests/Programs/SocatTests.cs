using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>socat: forking listeners with programs behind them, half-closed connections, TLS, relays between families.</summary>
[Collection(MatrixFixture.Name)]
public sealed class SocatTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Listeners_and_relays(string nsm) => matrix.Same(nsm, connections: 14, bytes: 30L << 20, world =>
    {
        _ = world.WriteNoise("big.bin", 6 << 20);
        RunningProgram sink = world.Server.Serve(7001, "socat", "-t", "10", "TCP6-LISTEN:7001,fork,reuseaddr,ipv6only=0", "SYSTEM:sha256sum");
        RunningProgram echo = world.Server.Serve(7002, "socat", "-t", "10", "TCP4-LISTEN:7002,fork,reuseaddr", "EXEC:cat");
        RunningProgram who = world.Server.Serve(7003, "socat", "-t", "10", "TCP-LISTEN:7003,fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR to $SOCAT_SOCKADDR\\:$SOCAT_SOCKPORT");
        RunningProgram relay = world.Peer.Serve(7004, "socat", "-t", "10", "TCP6-LISTEN:7004,fork,reuseaddr", $"TCP4:{Machines.Ipv4(Machines.Server)}:7002");
        world.Client.Shows("socat -t 10 - TCP4:$SERVER:7001 < big.bin; socat -t 10 - TCP6:[$SERVER6]:7001 < big.bin; sha256sum < big.bin");
        world.Client.Shows("socat -t 10 - TCP4:$SERVER:7002 < big.bin | sha256sum");
        world.Client.Shows("socat -t 10 - TCP6:[$PEER6]:7004 < big.bin | sha256sum; echo hello | socat -t 10 - TCP6:[$PEER6]:7004,bind=[$CLIENT6]");
        world.Client.Shows("socat -u TCP4:$SERVER:7003 -; socat -u TCP4:$SERVER:7003,bind=$CLIENT:7777 -");
        world.Outside.Shows("socat -u TCP4:$SERVER:7003 -; echo from outside | socat -t 10 - TCP4:$SERVER:7002");
        world.Client.Shows("socat -u OPEN:big.bin TCP4:$SERVER:7099 2>&1 | sed 's/.*E //'");
        Assert.All((RunningProgram[])[sink, echo, who, relay], program => program.Stop());
    });

    [ProgramTheory, EveryNsm]
    public void Tls_and_unix_sockets(string nsm) => matrix.Same(nsm, connections: 4, bytes: 6L << 20, world =>
    {
        _ = world.WriteNoise("big.bin", 3 << 20);
        world.Server.Must("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=server.test 2>/dev/null; cat key.pem cert.pem > both.pem");
        RunningProgram tls = world.Server.Serve(7443, "socat", "-t", "10", "OPENSSL-LISTEN:7443,fork,reuseaddr,cert=both.pem,verify=0", "EXEC:cat");
        RunningProgram local = world.Client.Start("socat", "-t", "10", "UNIX-LISTEN:local.sock,fork", $"OPENSSL:{Machines.Ipv4(Machines.Server)}:7443,cafile=cert.pem,commonname=server.test");
        world.Client.Until("test -S local.sock");
        world.Client.Shows("socat -t 10 - UNIX-CONNECT:local.sock < big.bin | sha256sum; sha256sum < big.bin");
        world.Client.Shows("socat -t 10 - OPENSSL:$SERVER:7443,cafile=cert.pem,commonname=server.test < big.bin | sha256sum");
        world.Client.Shows("echo no | socat -t 10 - OPENSSL:$SERVER:7443,cafile=cert.pem,commonname=other.test 2>&1 | sed 's/.*E //'");
        local.Stop();
        tls.Stop();
    });
}
