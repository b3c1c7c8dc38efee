using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Java: NIO selectors, blocking sockets, the JDK's HTTP server and client.</summary>
[Collection(MatrixFixture.Name)]
public sealed class JavaTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Nio_and_http(string nsm) => matrix.Same(nsm, connections: 50, bytes: 16L << 20, world =>
    {
        world.Outside.Must($"javac -d . {World.Own("EchoServer.java")} {World.Own("EchoClient.java")}");
        RunningProgram server = world.Server.Serve(9402, "java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", ".", "EchoServer");
        world.Client.Shows("java -XX:TieredStopAtLevel=1 -cp . EchoClient $SERVER");
        world.Outside.Shows("java -XX:TieredStopAtLevel=1 -cp . EchoClient $SERVER");
        server.Stop();
    });
}
