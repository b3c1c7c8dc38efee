using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>An rsync daemon, which forks for every connection: down, up, differences only, and a listing.</summary>
[Collection(MatrixFixture.Name)]
public sealed class RsyncTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void A_daemon_both_ways(string nsm) => matrix.Same(nsm, connections: 12, bytes: 20L << 20, world =>
    {
        _ = world.WriteNoise("data/big.bin", 8 << 20);
        for (int n = 0; n < 200; n++)
        {
            _ = world.Write($"data/tree{n % 7}/file{n}", $"file {n}\n");
        }

        _ = world.Write(
            "rsyncd.conf",
            """
            pid file = @/rsyncd.pid
            log file = @/rsyncd.log
            log format = %a %m %o %f %l
            use chroot = no
            [data]
            path = @/data
            uid = nobody
            gid = nogroup
            [inbox]
            path = @/inbox
            read only = no
            uid = root
            gid = root
            """);
        world.Server.Must("mkdir inbox");
        RunningProgram rsync = world.Server.Daemon(873, "rsyncd.pid", "rsync", "--daemon", "--config=rsyncd.conf");
        const string Sums = "find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum";
        world.Client.Shows("rsync rsync://$SERVER/; rsync rsync://[$SERVER6]/data/ | wc -l; rsync rsync://$SERVER/none/");
        world.Client.Shows("rsync -a rsync://$SERVER/data/ copy/ && cd copy && " + Sums);
        world.Outside.Shows("rsync -az rsync://[$SERVER6]/data/ copy6/ && cd copy6 && " + Sums);
        world.Client.Shows("rsync -a data/ rsync://$SERVER/inbox/up/ && cd inbox/up && " + Sums);
        world.Client.Must("printf changed | dd of=copy/big.bin bs=1 seek=4000000 conv=notrunc status=none; touch -d 2001-01-01 copy/big.bin; rm -r copy/tree3");
        world.Client.Shows("rsync -aiO --checksum --stats --delete rsync://$SERVER/data/ copy/ | grep '^[>cd]\\|Literal\\|Matched' && cd copy && " + Sums);
        world.Client.Shows("for i in 1 2 3 4; do rsync -a rsync://$SERVER/data/ many$i/ & done; wait; for i in 1 2 3 4; do (cd many$i; " + Sums + "); done");
        rsync.Stop();
        world.Server.Shows("sed 's/^[^]]*] //' rsyncd.log | grep -v '^sent\\|^rsyncd\\|big.bin' | sort | uniq -c | sort -rn | head -30");
    });
}
