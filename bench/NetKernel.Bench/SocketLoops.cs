using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using NetKernel.Channel.Host;

namespace NetKernel.Bench;

/// <summary>
/// epoll with recv and send against io_uring with batched submissions, as the loop of a process that serves sockets: 64-byte echo, and taking in streams of 8 KB messages, over
/// loopback. The two loops alternate in one run, in front of the same clients.
/// </summary>
internal static class SocketLoops
{
    private const int Rounds = 5;

    public static int Run(ReadOnlySpan<string> arguments)
    {
        double seconds = arguments.Length > 0 ? double.Parse(arguments[0], CultureInfo.InvariantCulture) : 1.0;
        Console.Out.WriteLine("| workload | connections | epoll, median (spread) | io_uring, median (spread) | io_uring / epoll | CPU of the loop per message or 8 KB, epoll / io_uring |");
        Console.Out.WriteLine("|---|---|---|---|---|---|");
        foreach (bool echo in (bool[])[true, false])
        {
            foreach (int connections in (int[])[1, 64])
            {
                double[] epoll = new double[Rounds];
                double[] ring = new double[Rounds];
                double[] epollCpu = new double[Rounds];
                double[] ringCpu = new double[Rounds];
                for (int i = 0; i < Rounds; i++)
                {
                    epoll[i] = Measure(new EpollLoop(echo), echo, connections, seconds, out epollCpu[i]);
                    ring[i] = Measure(new UringLoop(echo), echo, connections, seconds, out ringCpu[i]);
                }

                Array.Sort(epoll);
                Array.Sort(ring);
                Array.Sort(epollCpu);
                Array.Sort(ringCpu);
                string unit = echo ? "k/s" : "Gbit/s";
                Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"| {(echo ? "echo of 64 B" : "stream of 8 KB")} | {connections} | {Cell(epoll)} {unit} | {Cell(ring)} {unit} | {ring[Rounds / 2] / epoll[Rounds / 2]:F2} | {epollCpu[Rounds / 2]:F2} / {ringCpu[Rounds / 2]:F2} us |"));
            }
        }

        return 0;
    }

    private static string Cell(double[] sorted) =>
        string.Create(CultureInfo.InvariantCulture, $"{sorted[Rounds / 2]:F1} ({sorted[0]:F1}-{sorted[^1]:F1})");

    /// <summary>Thousand echoes, or Gbit, per second.</summary>
    private static double Measure(ISocketLoop loop, bool echo, int connections, double seconds, out double cpu)
    {
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(connections);
        Socket[] clients = new Socket[connections];
        Socket[] servers = new Socket[connections];
        for (int i = 0; i < connections; i++)
        {
            clients[i] = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            clients[i].Connect(listener.LocalEndPoint!);
            servers[i] = listener.Accept();
            servers[i].NoDelay = true;
            servers[i].Blocking = false;
            loop.Add((int)servers[i].Handle);
        }

        long nanoseconds = 0;
        Thread server = new(() =>
        {
            loop.Run();
            nanoseconds = ThreadCpu();
        });
        server.Start();
        bool stop = false;
        Thread driver = new(() =>
        {
            if (echo)
            {
                Ping(clients, ref stop);
            }
            else
            {
                Stream(clients, ref stop);
            }
        });
        driver.Start();
        Thread.Sleep(100); // Warm.
        long before = loop.Done;
        long start = Stopwatch.GetTimestamp();
        Thread.Sleep(TimeSpan.FromSeconds(seconds));
        double per = (loop.Done - before) / Stopwatch.GetElapsedTime(start).TotalSeconds;
        Volatile.Write(ref stop, true);
        driver.Join();
        foreach (Socket client in clients)
        {
            client.Dispose();
        }

        server.Join();
        foreach (Socket s in servers)
        {
            s.Dispose();
        }

        // The loop's own CPU time tells more than the rate when the machine has other things to do.
        cpu = nanoseconds / 1000.0 / (loop.Done / (echo ? 64.0 : 8192.0));
        loop.Dispose();
        return echo ? per / 64 / 1000 : per * 8 / 1e9;
    }

    private static unsafe long ThreadCpu()
    {
        const int ClockGetTime = 228, ThreadCpuTime = 3;
        long* time = stackalloc long[2];
        _ = Libc.Syscall(ClockGetTime, ThreadCpuTime, (nint)time, 0, 0, 0, 0);
        return (time[0] * 1_000_000_000) + time[1];
    }

    /// <summary>One message on every connection, then all answers.</summary>
    private static void Ping(Socket[] clients, ref bool stop)
    {
        byte[] buffer = new byte[64];
        while (!Volatile.Read(ref stop))
        {
            foreach (Socket client in clients)
            {
                _ = client.Send(buffer);
            }

            foreach (Socket client in clients)
            {
                for (int got = 0; got < 64;)
                {
                    got += client.Receive(buffer, got, 64 - got, SocketFlags.None);
                }
            }
        }
    }

    private static void Stream(Socket[] clients, ref bool stop)
    {
        byte[] buffer = new byte[8192];
        while (!Volatile.Read(ref stop))
        {
            foreach (Socket client in clients)
            {
                _ = client.Send(buffer);
            }
        }
    }
}

/// <summary>A loop that serves sockets until all of them have ended.</summary>
internal interface ISocketLoop : IDisposable
{
    /// <summary>Bytes received so far.</summary>
    long Done { get; }

    /// <summary>Adds a connected, non-blocking socket, before Run.</summary>
    void Add(int fd);

    /// <summary>Serves.</summary>
    void Run();
}
