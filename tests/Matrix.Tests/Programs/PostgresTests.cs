using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>PostgreSQL, as its own user, with a process per connection: COPY in and out, pgbench, notifications, cancelling.</summary>
[Collection(MatrixFixture.Name)]
public sealed class PostgresTests(MatrixFixture matrix)
{
    private const string Psql = "psql -X -q -At -h $SERVER -U postgres -d postgres ";

    [ProgramTheory, EveryNsm(Mtcp = true, Shared = true)]
    public void A_process_for_each_connection(string nsm) => matrix.Same(nsm, connections: 20, bytes: 100L << 20, world =>
    {
        RunningProgram postgres = Start(world);
        world.Client.Shows(Psql + "-c 'select 6 * 7, inet_client_addr(), inet_server_addr(), inet_server_port()'; psql -X -At -h $SERVER6 -U postgres -c 'select inet_client_addr()' postgres");
        world.Client.Must("/usr/bin/python3 -c \"for i in range(500000): print(i, f'{i * 7919 % 1000003:x}' * 18, sep='\\t')\" | head -c 50000000 > rows; sed -i '$d' rows");
        world.Client.Shows(Psql + "-c 'create table t (n int, s text)' -c '\\copy t from rows' -c 'select count(*), sum(n) from t'");
        world.Client.Shows(Psql + "-c '\\copy (select * from t order by n) to copy'; cmp rows copy && sha256sum copy");
        world.Outside.Shows(Psql + "-c 'select md5(string_agg(s, chr(10) order by n)) from t'; " + Psql + "-c 'select * from none' 2>&1");
        RunningProgram listener = world.Client.Start(
            "psql", "-X", "-q", "-h", Machines.Ipv4(Machines.Server), "-U", "postgres", "-c", "listen news", "-c", "\\echo listening",
            "-c", "do $$ begin for i in 1..200 loop perform pg_sleep(0.05); exit when exists (select 1 from pg_class where relname = 'told'); end loop; end $$", "-c", "select 'heard'", "postgres");
        listener.Says("listening");
        world.Peer.Shows(Psql + "-c \"notify news, 'from the peer'\" -c 'create table told ()'");
        world.Transcript.Mask("server process with PID \\d+", "server process with PID N");
        listener.EndsAndShows();
        world.Client.Shows(Psql + "-c 'set statement_timeout = 200' -c 'select pg_sleep(20)'");
        world.Client.Shows("timeout --foreground -s INT 1 " + Psql + "-c 'select pg_sleep(30)'; echo $?");
        postgres.Stop(Signals.Interrupt);
    });

    [ProgramTheory, EveryNsm]
    public void Pgbench(string nsm) => matrix.Same(nsm, connections: 30, bytes: 1L << 20, world =>
    {
        RunningProgram postgres = Start(world);
        world.Client.Shows("pgbench -h $SERVER -U postgres -i -q -s 1 postgres >/dev/null 2>&1; echo $?");
        const string Count = " 2>&1 | grep 'actually processed\\|failed'";
        world.Client.Shows("pgbench -h $SERVER -U postgres -c 8 -j 2 -t 50 -n postgres" + Count);
        world.Client.Shows("pgbench -h $SERVER6 -U postgres -c 8 -j 2 -t 20 -n -S -M prepared postgres" + Count);
        world.Outside.Shows("pgbench -h $SERVER -U postgres -c 4 -t 5 -n -C -S postgres" + Count);
        world.Client.Shows(Psql + "-c 'select count(*) from pgbench_history' -c 'select sum(abalance) = (select sum(bbalance) from pgbench_branches) from pgbench_accounts'");
        postgres.Stop(Signals.Interrupt);
    });

    private static RunningProgram Start(World world)
    {
        world.Server.Must(
            """
            bin=$(dirname $(readlink -f /usr/lib/postgresql/*/bin/postgres | tail -1)); ln -s $bin bin
            install -d -o postgres -g postgres -m 700 data
            chmod 755 .
            setpriv --reuid postgres --regid postgres --init-groups bin/initdb -D data -A trust --no-sync -E UTF8 --locale C >/dev/null
            cat >> data/postgresql.conf <<END
            listen_addresses = '*'
            unix_socket_directories = ''
            max_connections = 40
            fsync = off
            shared_buffers = 32MB
            END
            echo 'host all all all trust' >> data/pg_hba.conf
            """, 60);
        return world.Server.Serve(5432, "setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups", "bin/postgres", "-D", "data");
    }
}
