using NetKernel.Matrix.Tests.Framework;

namespace NetKernel.Matrix.Tests.Programs;

/// <summary>iperf3 in all its TCP modes; amounts are given in bytes, so that both ends can say that all has come.</summary>
[Collection(MatrixFixture.Name)]
public sealed class IperfTests(MatrixFixture matrix)
{
    // A server that has not quite ended the test before says that it is busy.
    private const string Iperf = "iperf() { for i in $(seq 100); do iperf3 \"$@\" > report; grep -q 'server is busy' report || break; sleep 0.1; done; cat report; }; ";

    private static readonly string Show = $" | /usr/bin/python3 {World.Own("iperf_show.py")}";

    [ProgramTheory, EveryNsm(Mtcp = true, Shared = true)]
    public void Every_direction(string nsm) => matrix.Same(nsm, connections: 20, bytes: 200L << 20, world =>
    {
        RunningProgram server = world.Server.Serve(5201, "iperf3", "-s");
        world.Client.Shows(Iperf + "iperf -J -C cubic -c $SERVER -n 30M" + Show);
        world.Client.Shows(Iperf + "iperf -J -C cubic -c $SERVER -n 30M -R" + Show);
        world.Client.Shows(Iperf + "iperf -J -C cubic -c $SERVER -n 30M --bidir" + Show);
        world.Client.Shows(Iperf + "iperf -J -C cubic -6 -c $SERVER6 -n 30M -P 4" + Show);
        world.Outside.Shows(Iperf + "iperf -J -C cubic -c $SERVER -n 30M" + Show);
        world.Outside.Shows(Iperf + "iperf -J -C cubic -6 -c $SERVER6 -n 30M -R" + Show);
        world.Client.Shows(Iperf + "iperf -J -c $SERVER -n 30M -Z -C reno -w 256K -M 1400 -N -S 0x10" + Show);
        world.Client.Shows("iperf3 -c $SERVER -p 5202 -n 1M");
        server.Stop();
    });

    // What of it arrives depends on the machine; that most does, and that both ends agree on it, does not.
    [ProgramTheory, EveryNsm]
    public void Udp(string nsm) => matrix.Same(nsm, connections: 4, bytes: 30L << 20, world =>
    {
        string show = $" | /usr/bin/python3 {World.Own("iperf_udp.py")}";
        RunningProgram server = world.Server.Serve(5201, "iperf3", "-s");
        world.Client.Shows(Iperf + "iperf -J -u -c $SERVER -b 60M -n 6M" + show);
        world.Client.Shows(Iperf + "iperf -J -u -c $SERVER -b 60M -n 6M -R -l 1200" + show);
        world.Client.Shows(Iperf + "iperf -J -u -6 -c $SERVER6 -b 60M -n 6M --bidir" + show);
        world.Outside.Shows(Iperf + "iperf -J -u -c $SERVER -b 60M -n 6M -P 2" + show);
        world.Outside.Shows(Iperf + "iperf -J -u -c $SERVER -b 60M -n 6M -R" + show);
        server.Stop();
    });
}
