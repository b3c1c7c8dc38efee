using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>OpenBSD's netcat: one connection each, half-closed, scans, source ports.</summary>
[Collection(MatrixFixture.Name)]
public sealed class NetcatTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void One_connection_each(string nsm) => matrix.Same(nsm, connections: 10, bytes: 12L << 20, world =>
    {
        _ = world.WriteNoise("big.bin", 3 << 20);

        // Without -N: once the peer has half-closed, a listening netcat ends as soon as its buffer is empty, whether or not it has read all of its own input.
        RunningProgram listener = Listen(world.Server, "nc.openbsd -l -N 9001 < big.bin | sha256sum");
        world.Client.Shows("nc.openbsd $SERVER 9001 < big.bin | sha256sum");
        listener.EndsAndShows();
        listener = Listen(world.Server, "nc.openbsd -6 -l -v 9001 > came 2> said; sed 's/ [0-9]*$//' said; sha256sum came");
        world.Outside.Shows("nc.openbsd -6 -N -w 10 $SERVER6 9001 < big.bin");
        listener.EndsAndShows();
        listener = Listen(world.Server, "nc.openbsd -l -v -n 9001 2>&1");
        world.Client.Shows("echo with a source port | nc.openbsd -N -p 4444 $SERVER 9001");
        listener.EndsAndShows();
        listener = Listen(world.Server, "nc.openbsd -k -l 9001");
        world.Client.Shows("for i in 1 2 3; do echo line $i | nc.openbsd -N $SERVER 9001; done; nc.openbsd -z -v -n $SERVER 8999-9001 2>&1");
        world.Client.Shows("nc.openbsd -v -n -w 1 198.18.77.77 9001 2>&1; nc.openbsd -v -n $SERVER6 9001 2>&1");
        listener.Says("line 3");
        listener.Stop();
    });

    [ProgramTheory, EveryNsm]
    public void Datagrams(string nsm) => matrix.Same(nsm, connections: 0, bytes: 40, world =>
    {
        RunningProgram echo = world.Server.Start("socat", "-T", "5", "UDP4-RECVFROM:9002,fork", "SYSTEM:echo $SOCAT_PEERADDR;cat");
        RunningProgram other = world.Server.Start("socat", "-T", "5", "UDP6-RECVFROM:9003,fork,ipv6only=1", "EXEC:cat");
        world.Client.Until("echo ready | socat -t 1 - UDP4:$SERVER:9002 | grep -q ready && echo ready | socat -t 1 - UDP6:[$SERVER6]:9003 | grep -q ready");
        world.Client.Shows("echo by socat | socat -t 1 - UDP4:$SERVER:9002; echo by socat | socat -t 1 - UDP6:[$SERVER6]:9003,bind=[$CLIENT6]:4445");
        world.Client.Shows("echo by netcat | nc.openbsd -u -w 1 -p 4446 $SERVER 9002");
        world.Outside.Shows("echo from outside | socat -t 1 - UDP4:$SERVER:9002");
        world.Client.Shows("echo nobody | socat -t 1 - UDP4:$SERVER:9009 2>&1 | sed 's/.*: //'");
        echo.Stop();
        other.Stop();
    });

    private static RunningProgram Listen(Machine machine, string script) => machine.Serve(9001, "/bin/bash", "-c", script);
}
