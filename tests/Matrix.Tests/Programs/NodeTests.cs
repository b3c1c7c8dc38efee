using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Node.js: http and net, whose libuv calls epoll by itself.</summary>
[Collection(MatrixFixture.Name)]
public sealed class NodeTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Http_and_net(string nsm) => matrix.Same(nsm, connections: 100, bytes: 20L << 20, world =>
    {
        RunningProgram server = world.Server.Serve(9302, "/usr/bin/node", World.Own("node_server.js"));
        world.Client.Shows($"/usr/bin/node {World.Own("node_client.js")} $SERVER");
        world.Outside.Shows($"/usr/bin/node {World.Own("node_client.js")} $SERVER");
        server.Signal(Signals.Terminate);
        server.EndsAndShows();
    });
}
