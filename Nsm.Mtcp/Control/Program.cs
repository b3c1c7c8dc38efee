using NetKernel.ServiceLib;

namespace NetKernel.Nsm.Mtcp;

internal static class Program
{
    private const string Help = """
        nk-nsm-mtcp --run-dir DIR --id N [options]
        The network stack module with a TCP/IP stack of its own in user space. nkd starts it.

          --run-dir DIR          where CoreEngine's engine.sock is
          --id N                 this NSM's id, as announced to CoreEngine
          --link KIND            packet (default): AF_PACKET on an interface; xdp: AF_XDP on one, which is then this NSM's alone; tap: a TAP interface, made unless it is there
          --interface NAME       that interface (default: eth0); but for tap, the guests' addresses are taken from the kernel there
          --namespace PATH       with --link tap: the network namespace that the interface is in (default: this process's)
          --congestion NAME      congestion control of connections that choose none: cubic (default), reno, dctcp, bbr
          --mode bridge          accepted, because nkd says it; host is refused; private: no interface at all, every guest has 127.0.0.1 and ::1 (tests)
          --rcvbuf BYTES         largest receive buffer of a connection (default: 6291456)
          --vlan ID              802.1Q VLAN of everything sent, 1 to 4094; frames of others, and untagged ones, are dropped (default: untagged)
          --vlan-priority N      802.1p priority of everything sent, 0 to 7 (default: 0)
          --cores N              threads, each with a stack of its own and its share of the flows (default: 1, at most as many as CoreEngine has loops)
          --route PREFIX[,GW]    a route, repeatable (default: 198.18.0.0/16 and 2001:2::/64 on the link)

        It ends with 0 on SIGTERM, 1 when CoreEngine refuses it or the link cannot be opened, 2 for a wrong command line, 3 when CoreEngine is gone.
        """;

    private static int Main(string[] arguments) => NsmProgram.Run(Settings.Program, Help, arguments, given => Module.Open(Settings.Parse(given)));
}
