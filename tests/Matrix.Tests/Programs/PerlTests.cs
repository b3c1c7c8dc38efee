using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Perl: IO::Socket and select, HTTP::Daemon with a child per connection, HTTP::Tiny.</summary>
[Collection(MatrixFixture.Name)]
public sealed class PerlTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Sockets_and_http(string nsm) => matrix.Same(nsm, connections: 44, bytes: 4L << 20, world =>
    {
        RunningProgram server = world.Server.Serve(9501, "/usr/bin/perl", World.Own("perl_server.pl"));
        world.Client.Shows($"/usr/bin/perl {World.Own("perl_client.pl")} $SERVER");
        world.Outside.Shows($"/usr/bin/perl {World.Own("perl_client.pl")} $SERVER");
        server.Stop();
    });
}
