using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>ASP.NET Core's Kestrel and HttpClient: HTTP/1.1, HTTP/2, web sockets; Socket.Available.</summary>
[Collection(MatrixFixture.Name)]
public sealed class KestrelTests(MatrixFixture matrix)
{
    // Built with the solution, beside this project.
    private static readonly string Application = Path.GetFullPath(
        Path.Combine(AppContext.BaseDirectory, "../../../../Matrix.Kestrel/bin/Release/net10.0/NetKernel.Matrix.Kestrel.dll"));

    [ProgramTheory, EveryNsm]
    public void Kestrel_and_HttpClient(string nsm) => matrix.Same(nsm, connections: 60, bytes: 30L << 20, world =>
    {
        RunningProgram server = world.Server.Serve(9601, "dotnet", Application, "serve");
        world.Client.Shows($"dotnet {Application} client $SERVER");
        world.Outside.Shows($"dotnet {Application} client $SERVER6");
        server.Signal(Signals.Terminate);
        server.EndsAndShows();
    });
}
