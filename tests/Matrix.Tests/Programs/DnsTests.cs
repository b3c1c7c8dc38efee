using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>dnsmasq over UDP and TCP, asked by dig; one that forwards to another in a second guest.</summary>
[Collection(MatrixFixture.Name)]
public sealed class DnsTests(MatrixFixture matrix)
{
    [ProgramTheory, EveryNsm]
    public void Queries_and_forwarding(string nsm) => matrix.Same(nsm, connections: 4, bytes: 4000, world =>
    {
        RunningProgram peer = world.Peer.Serve(
            53, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root", "--pid-file=", "--address=/far.test/198.18.7.7",
            "--txt-record=long.far.test," + string.Join(',', Enumerable.Range(0, 15).Select(n => new string((char)('a' + n), 60))));
        RunningProgram server = world.Server.Serve(
            53, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=nobody", "--pid-file=", "--address=/near.test/198.18.8.8",
            "--address=/near.test/2001:2::8", "--server=/far.test/" + Machines.Ipv4(Machines.Peer), "--cache-size=0");
        const string Dig = "dig +time=5 +tries=1 +nocomments +nostats +nocmd ";
        world.Client.Shows(Dig + "@$SERVER near.test; " + Dig + "@$SERVER6 near.test AAAA; " + Dig + "+tcp @$SERVER near.test");
        world.Client.Shows(Dig + "@$SERVER a.far.test; " + Dig + "+short +tcp @$SERVER6 long.far.test TXT; " + Dig + "+short +bufsize=512 @$SERVER long.far.test TXT");
        world.Outside.Shows(Dig + "@$SERVER b.far.test; " + Dig + "+short -x 198.18.8.8 @$SERVER; for i in `seq 30`; do echo n$i.near.test; done > names; dig +short +time=5 @$SERVER -f names | sort | uniq -c");
        world.Client.Shows("dig +time=1 +tries=1 +nocmd @$SERVER -p 5353 near.test | grep -v '^$'");
        server.Stop();
        peer.Stop();
    });
}
