using NetKernel.Bench.Tcp;
using NetKernel.Cli.Testbed;

namespace NetKernel.Bench.SharedMem;

/// <summary>What NetKernel's processes and the programs use while connections are open between guests and nobody says anything.</summary>
internal static class IdleCost
{
    /// <summary>Over <paramref name="time"/>: CPU seconds of CoreEngine, the NSM, and both programs, with connections of either form.</summary>
    public static (double Engine, double Nsm, double Programs) Measure(Sides sides, TimeSpan time)
    {
        const string Server = "import socket\ns=socket.create_server(('0.0.0.0',7211))\nc,_=s.accept()\nwhile True:\n d=c.recv(65536)\n if not d: break\n c.sendall(d)\n";
        const string Client = "import socket,sys,time\ns=socket.create_connection((sys.argv[1],7211))\n"
            + "for i in range(50):\n s.sendall(b'x'*4096); n=0\n while n<4096: n+=len(s.recv(4096))\nprint('idle',flush=True)\ns.recv(1)\n";
        List<GuestProcess> programs = [];
        try
        {
            foreach (Side side in new[] { sides.Copies, sides.Direct })
            {
                programs.Add(side.Serve(["python3", "-c", Server]));
                if (!sides.Instance.WaitForListener(side == sides.Copies ? "b" : "d", 7211, TimeSpan.FromSeconds(20)))
                {
                    throw new RunFailure("the idle server does not start");
                }

                GuestProcess client = side.Call(["python3", "-c", Client, side.Address[0]]);
                programs.Add(client);
                if (!NkInstance.WaitFor(() => client.Output.Contains("idle", StringComparison.Ordinal), TimeSpan.FromSeconds(20)))
                {
                    throw new RunFailure($"the idle client does not get idle: {client.Error}");
                }
            }

            Thread.Sleep(3000); // the counts of the direct form are told, and its timer stops
            CpuUse before = sides.Copies.PlatformCpu();
            double used = programs.Sum(program => ProcessCpu.Seconds(program.Pid));
            Thread.Sleep(time);
            CpuUse after = sides.Copies.PlatformCpu() - before;
            return (after.Engine, after.Nsm, programs.Sum(program => ProcessCpu.Seconds(program.Pid)) - used);
        }
        finally
        {
            programs.ForEach(program => program.Dispose());
        }
    }
}
