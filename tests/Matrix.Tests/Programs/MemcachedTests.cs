using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>memcached with four threads, which hand connections to one another, as its own user.</summary>
[Collection(MatrixFixture.Name)]
public sealed class MemcachedTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Threads_on_both_sides(string nsm) => matrix.Same(nsm, connections: 12, bytes: 8L << 20, world =>
    {
        RunningProgram memcached = world.Server.Serve(11211, "memcached", "-u", "memcache", "-t", "4", "-p", "11211", "-U", "0", "-c", "200");
        world.Client.Shows($"/usr/bin/python3 {World.Own("memcache_client.py")} $SERVER");
        world.Outside.Shows($"/usr/bin/python3 {World.Own("memcache_client.py")} $SERVER6");
        memcached.Stop();
    });
}
