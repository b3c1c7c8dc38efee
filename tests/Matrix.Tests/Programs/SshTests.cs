using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>OpenSSH: a daemon that forks and executes itself for each connection, commands, tunnels both ways, files.</summary>
[Collection(MatrixFixture.Name)]
public sealed class SshTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm(Mtcp = true)]
    public void Commands_tunnels_and_files(string nsm) => matrix.Same(nsm, connections: 16, bytes: 60L << 20, world =>
    {
        _ = world.WriteNoise("big.bin", 20 << 20);
        RunningProgram sshd = Start(world);
        world.Client.Shows("ssh -F ssh_config server 'echo hello; echo $SSH_CONNECTION | cut -d\" \" -f1,3,4; echo error >&2; exit 7'");
        world.Outside.Shows("ssh -F ssh_config -6 server6 'cat | sha256sum' < big.bin; sha256sum < big.bin");
        world.Client.Shows("ssh -F ssh_config server cat $PWD/big.bin | sha256sum");
        world.Client.Shows("scp -q -F ssh_config big.bin server:$PWD/up.bin && cmp big.bin up.bin; scp -q -F ssh_config server:$PWD/big.bin down.bin && cmp big.bin down.bin; echo $?");
        world.Client.Shows("printf 'put big.bin sftp.bin\\nls -l sftp.bin\\nget sftp.bin back.bin\\n' | sftp -q -F ssh_config -b - server:$PWD | sed 's/root.*sftp/sftp/'; cmp big.bin back.bin && rm sftp.bin back.bin");
        world.Client.Shows("rsync -a -e 'ssh -F ssh_config' server:$PWD/big.bin rsynced.bin && cmp big.bin rsynced.bin && echo same");
        RunningProgram echo = world.Peer.Serve(7002, "socat", "-t", "10", "TCP-LISTEN:7002,fork,reuseaddr", "EXEC:cat");
        RunningProgram tunnel = world.Client.Serve(
            7100, "ssh", "-F", "ssh_config", "-N", "-L", $"{Machines.Ipv4(Machines.Client)}:7100:{Machines.Ipv4(Machines.Peer)}:7002", "-R",
            $"{Machines.Ipv4(Machines.Server)}:7200:{Machines.Ipv4(Machines.Peer)}:7002", "server");
        world.Server.Listening(7200);
        world.Outside.Shows("socat -t 10 - TCP:$CLIENT:7100 < big.bin | sha256sum");
        world.Outside.Shows("for i in 1 2 3; do socat -t 10 - TCP:$SERVER:7200 < big.bin | sha256sum; done");
        tunnel.Stop();
        echo.Stop();
        world.Client.Shows("for i in 1 2 3 4; do ssh -F ssh_config server echo $i & done | sort; wait");
        sshd.Stop();
    });

    private static RunningProgram Start(World world)
    {
        _ = world.Write(
            "sshd_config",
            """
            Port 2222
            ListenAddress 0.0.0.0
            ListenAddress ::
            HostKey @/host_key
            AuthorizedKeysFile @/user_key.pub
            PidFile @/sshd.pid
            PermitRootLogin yes
            StrictModes no
            UsePAM no
            GatewayPorts clientspecified
            Subsystem sftp /usr/lib/openssh/sftp-server
            MaxStartups 50
            """);
        _ = world.Write(
            "ssh_config",
            """
            Host server
                HostName $SERVER
            Host server6
                HostName $SERVER6
            Host *
                Port 2222
                User root
                IdentityFile @/user_key
                IdentitiesOnly yes
                StrictHostKeyChecking no
                UserKnownHostsFile /dev/null
                LogLevel ERROR
                BatchMode yes
            """);
        world.Server.Must("mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f host_key; ssh-keygen -q -t ed25519 -N '' -f user_key");
        return world.Server.Daemon(2222, "sshd.pid", "/usr/sbin/sshd", "-f", world.At("sshd_config"), "-E", world.At("sshd.log"));
    }
}
