using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Node.js cluster: connections are passed to workers over Unix sockets.</summary>
[Collection(MatrixFixture.Name)]
public sealed class NodeClusterTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Workers_get_connections_from_the_primary(string nsm) => matrix.Same(nsm, connections: 200, bytes: 20_000, world =>
    {
        RunningProgram server = world.Server.Serve(9303, "/usr/bin/node", World.Own("node_cluster.js"));
        world.Client.Shows("for i in `seq 12`; do curl -sS http://$SERVER:9303/; done | sort -u");
        var load = new Load(world, 9303, "/page");
        load.AwaitMore();
        load.End();
        server.Signal(Signals.Terminate);
        server.EndsAndShows();
    });
}
