using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>Python: asyncio, threads, processes, http.server.</summary>
[Collection(MatrixFixture.Name)]
public sealed class PythonTests(MatrixFixture matrix)
{
    private const string Python = "/usr/bin/python3";

    [ProgramTheory, EveryNsm(Shared = true)]
    public void Asyncio(string nsm) => matrix.Same(nsm, connections: 240, bytes: 40L << 20, world =>
    {
        world.Server.Must("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=server.test 2>/dev/null");
        RunningProgram server = world.Server.Serve(8103, Python, World.Own("asyncio_server.py"));
        world.Client.Shows($"{Python} {World.Own("asyncio_client.py")} $SERVER");
        world.Client.Shows($"{Python} {World.Own("asyncio_client.py")} $SERVER");
        server.Stop();
    });

    [ProgramTheory, EveryNsm]
    public void Threads_and_processes(string nsm) => matrix.Same(nsm, connections: 240, bytes: 100_000, world =>
    {
        RunningProgram server = world.Server.Serve(8204, Python, World.Own("prefork_server.py"));
        world.Client.Shows($"{Python} {World.Own("prefork_client.py")} $SERVER");
        world.Outside.Shows($"{Python} {World.Own("prefork_client.py")} $SERVER");
        server.Signal(Signals.Terminate);
        server.EndsAndShows();
    });

    [ProgramTheory, EveryNsm]
    public void Http_server(string nsm) => matrix.Same(nsm, connections: 4, bytes: 5L << 20, world =>
    {
        RunningProgram server = world.Server.Serve(8301, Python, World.Own("http_server.py"));
        world.Client.Shows($"{Python} {World.Own("http_client.py")} $SERVER");
        world.Outside.Shows($"{Python} {World.Own("http_client.py")} $SERVER");
        server.Stop();
    });
}
