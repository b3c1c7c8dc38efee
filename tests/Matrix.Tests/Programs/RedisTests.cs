using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>redis with I/O threads: data in and out, a snapshot under load by a forked child, a replica in a second guest.</summary>
[Collection(MatrixFixture.Name)]
public sealed class RedisTests(MatrixFixture matrix)
{
    private const string Cli = "redis-cli -h $SERVER ";

    [ProgramTheory, EveryNsm(Mtcp = true, Shared = true)]
    public void Commands_of_every_kind(string nsm) => matrix.Same(nsm, connections: 60, bytes: 10L << 20, world =>
    {
        RunningProgram redis = Start(world.Server, world);
        world.Client.Shows(Cli + "ping; redis-cli -h $SERVER6 set greeting hello; " + Cli + "append greeting ' world'; " + Cli + "get greeting; " + Cli + "get none; " + Cli + "nonsense");
        world.Client.Must("for i in `seq 20000`; do printf 'SET key:%d value-%d\\r\\n' $i $i; done > sets; head -c 3000000 /dev/zero | tr '\\0' x > large");
        world.Client.Shows(Cli + "--pipe < sets; " + Cli + "dbsize; " + Cli + "get key:19999");
        world.Client.Shows(Cli + "-x set large < large; " + Cli + "get large | sha256sum; sha256sum large; " + Cli + "debug digest");
        world.Client.Shows(Cli + "rpush queue job >/dev/null & " + Cli + "blpop queue 10; wait");
        RunningProgram subscriber = world.Client.Start("redis-cli", "-h", Machines.Ipv6(Machines.Server), "subscribe", "news");
        subscriber.Says("subscribe");
        world.Peer.Shows(Cli + "publish news published");
        subscriber.Says("published");
        subscriber.Signal(Signals.Interrupt);
        subscriber.EndsAndShows();
        world.Client.Shows("redis-benchmark -h $SERVER -c 50 -n 20000 -P 4 -t set,get,lpush --threads 2 -q | grep -c 'requests per second'");
        world.Outside.Shows(Cli + "dbsize; " + Cli + "client list | grep -o ' addr=[0-9.]*'");
        world.Client.Shows(Cli + "shutdown nosave");
        redis.Ends();
    });

    [ProgramTheory, EveryNsm]
    public void A_snapshot_and_a_replica_under_load(string nsm) => matrix.Same(nsm, connections: 20, bytes: 10L << 20, world =>
    {
        RunningProgram redis = Start(world.Server, world);
        world.Client.Must(Cli + "debug populate 100000 key 100");
        RunningProgram load = world.Client.Start("redis-benchmark", "-h", Machines.Ipv4(Machines.Server), "-c", "8", "-n", "8000", "-d", "100", "-t", "set", "-q");
        world.Outside.Shows(Cli + "bgsave");
        RunningProgram replica = Start(world.Peer, world, "--replicaof", Machines.Ipv4(Machines.Server), "6379");
        world.Client.Until("redis-cli -h $PEER info replication | grep -q master_link_status:up");
        load.Ends();
        world.Client.Until(Cli + "info persistence | grep -q rdb_bgsave_in_progress:0");
        world.Client.Shows(Cli + "info persistence | grep rdb_last_bgsave_status; " + Cli + "info replication | grep -o '^slave0:ip=[^,]*,port=[0-9]*'");
        world.Client.Shows(Cli + "set last one; " + Cli + "wait 1 10000");
        world.Client.Shows("test \"$(" + Cli + "debug digest)\" = \"$(redis-cli -h $PEER debug digest)\" && redis-cli -h $PEER get last; redis-cli -h $PEER set last two");
        world.Client.Shows(Cli + "debug digest; redis-check-rdb server.rdb | grep -v 'keys read\\|offset'");
        world.Client.Shows("redis-cli -h $PEER replicaof no one; redis-cli -h $PEER set last three; " + Cli + "get last");
        replica.Stop();
        redis.Stop();
    });

    private static RunningProgram Start(Machine machine, World world, params string[] more)
    {
        world.Transcript.Mask("@ \\d+ bytes", "");
        return machine.Serve(
            6379,
            [
                "redis-server", "--port", "6379", "--bind", "*", "-::*", "--protected-mode", "no", "--save", "", "--io-threads", "2", "--io-threads-do-reads", "yes",
                "--dbfilename", machine.Name + ".rdb", "--enable-debug-command", "yes", "--repl-diskless-sync", "no", "--loglevel", "notice", "--logfile", machine.Name + ".log", .. more,
            ]);
    }
}
