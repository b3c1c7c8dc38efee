using System.Diagnostics;
using System.Globalization;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.Testing;

namespace NetKernel.Bench;

/// <summary>
/// CoreEngine's switching rate across processes: this process plays guest and NSM in one thread (Sends one way, SendDones the other), the real
/// nk-engine switches in another, with validation, stamping, counters and doorbells. Beside it, in the same run, a bare relay.
/// </summary>
internal sealed unsafe class SwitchBenchmark : Benchmark
{
    private const uint Connections = 64;
    private static readonly uint[] Batches = [1, 4, 16, 64, 256];

    public override string Name => "switch";

    public override string Summary => "NQE/s through nk-engine, beside a bare relay  [--runs 5] [--ms 400] [--engine PATH]";

    public override int Run(Options options)
    {
        int runs = options.Number("runs", 5);
        int ms = options.Number("ms", 400);
        string engine = options.Text("engine", FindEngine());
        Console.Error.WriteLine($"bench: {engine}, {runs} runs of {ms} ms");
        var alone = new OneThread();
        if (options.Text("only", "") == "loop")
        {
            foreach (uint batch in Batches)
            {
                _ = alone.Measure(batch, ms / 4);
                Console.WriteLine($"{batch}: {alone.Measure(batch, ms):F1}");
            }

            return 0;
        }

        using var relay = new RelaySide();
        using var real = new EngineSide(engine);
        Console.WriteLine("| batch | nk-engine, M NQE/s | spread | bare relay, M NQE/s | spread | ratio | the loop in one thread, M NQE/s of CPU |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach (uint batch in Batches)
        {
            var ours = new Sample();
            var bare = new Sample();
            var single = new Sample();
            _ = relay.Measure(batch, ms / 4);
            _ = real.Measure(batch, ms / 4);
            for (int run = 0; run < runs; run++)
            {
                real.Pause(true);
                bare.Add(relay.Measure(batch, ms));
                real.Pause(false);
                relay.Pause(true);
                ours.Add(real.Measure(batch, ms));
                single.Add(alone.Measure(batch, ms / 2));
                relay.Pause(false);
            }

            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"| {batch} | {ours.Median:F1} | {ours.Spread("F1")} | {bare.Median:F1} | {bare.Spread("F1")} | {ours.Median / bare.Median:F2} | {single.Median:F1} ({single.Spread("F1")}) |"));
        }

        return 0;
    }

    private static string FindEngine()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at != null; at = at.Parent)
        {
            string path = Path.Combine(at.FullName, "out", "nk-engine");
            if (File.Exists(path))
            {
                return path;
            }
        }

        return "nk-engine";
    }

    /// <summary>A way through another process and back.</summary>
    private abstract class Side : IDisposable
    {
        private readonly Nqe[] _sends = new Nqe[256];
        private readonly Nqe[] _seen = new Nqe[256];
        private uint _next;
        private uint _inFlight;

        protected Process Other { get; set; } = null!;

        /// <summary>Switched NQEs per second, both ways together, in millions.</summary>
        public double Measure(uint batch, int milliseconds)
        {
            long ticks = Stopwatch.Frequency * milliseconds / 1000;
            long start = Stopwatch.GetTimestamp();
            long switched = 0;
            long now = start;
            Span<Nqe> sends = _sends.AsSpan(0, (int)batch);
            Span<Nqe> seen = _seen.AsSpan(0, (int)batch);
            for (int turn = 0; ; turn++)
            {
                if (_inFlight + batch <= Limit)
                {
                    for (int i = 0; i < sends.Length; i++)
                    {
                        sends[i].Op = Op.Send;
                        sends[i].Socket = _next++ % Connections;
                        sends[i].DataPtr = PoolLayout.TxOffset;
                        sends[i].Size = 64;
                    }

                    uint posted = PostSends(sends);
                    _next -= (uint)sends.Length - posted;
                    _inFlight += posted;
                }

                uint n = TakeSends(seen);
                if (n != 0)
                {
                    for (int i = 0; i < n; i++)
                    {
                        seen[i].Op = Op.SendDone;
                    }

                    PostDones(seen[..(int)n]);
                    switched += n;
                }

                uint done = TakeDones(seen);
                _inFlight -= done;
                switched += done;
                if ((turn & 63) == 0)
                {
                    now = Stopwatch.GetTimestamp();
                    if (now - start >= ticks)
                    {
                        break;
                    }
                }
            }

            return switched / ((now - start) / (double)Stopwatch.Frequency) / 1e6;
        }

        public virtual void Pause(bool pause)
        {
        }

        public void Dispose()
        {
            Other.Kill();
            Other.WaitForExit();
            Release();
        }

        // Half of what the completion ring holds, and no more per connection than allowed.
        private static uint Limit => 768;

        protected abstract uint PostSends(ReadOnlySpan<Nqe> elements);

        protected abstract uint TakeSends(Span<Nqe> elements);

        protected abstract void PostDones(ReadOnlySpan<Nqe> elements);

        protected abstract uint TakeDones(Span<Nqe> elements);

        protected abstract void Release();
    }

    private sealed class EngineSide : Side
    {
        private readonly RunDirectory _directory = new();
        private readonly FakeControlPlane _control;
        private readonly FakeNsm _nsm;
        private readonly FakeGuest _guest;

        public EngineSide(string engine)
        {
            Other = Process.Start(new ProcessStartInfo(engine, ["--run-dir", _directory.Path]) { RedirectStandardError = true })!;
            _ = Other.StandardError.ReadLine();
            _control = new FakeControlPlane(_directory.EngineSocket);
            _control.AddNsm(1);
            _nsm = new FakeNsm(_directory.EngineSocket, 1);
            _control.AddGuest(1, 1);
            _guest = new FakeGuest(_directory.GuestSocket("g1"));
            for (uint socket = 0; socket < Connections; socket++)
            {
                _guest.Claim(socket, 0);
                _guest.Post(0, RingKind.Job, new Nqe { Op = Op.Socket, Socket = socket, OpData = 2 });
                uint id = _nsm.Expect(Op.Socket, RingKind.Job).Socket;
                _guest.Post(0, RingKind.Job, new Nqe { Op = Op.Connect, Socket = socket });
                _ = _nsm.Expect(Op.Connect, RingKind.Job);
                _nsm.Post(RingKind.Completion, new Nqe { Op = Op.ConnectDone, Socket = id });
                _ = _guest.Take(0, RingKind.Completion);
            }
        }

        protected override uint PostSends(ReadOnlySpan<Nqe> elements)
        {
            uint n = _guest.TryPost(0, RingKind.Send, elements);
            _guest.Ring(0);
            return n;
        }

        protected override uint TakeSends(Span<Nqe> elements) => _nsm.TryTake(RingKind.Send, elements);

        protected override void PostDones(ReadOnlySpan<Nqe> elements)
        {
            while (elements.Length != 0)
            {
                elements = elements[(int)_nsm.TryPost(RingKind.Completion, elements)..];
            }

            _nsm.Ring();
        }

        protected override uint TakeDones(Span<Nqe> elements) => _guest.TryTake(0, RingKind.Completion, elements);

        protected override void Release()
        {
            _guest.Dispose();
            _nsm.Dispose();
            _control.Dispose();
            _directory.Dispose();
        }
    }

    private sealed class RelaySide : Side
    {
        private readonly SharedRegion _region = SharedRegion.Create("nk-bench", Relay.Length);
        private RingProducer _sends;
        private RingConsumer _seen;
        private RingProducer _dones;
        private RingConsumer _done;

        public RelaySide()
        {
            _sends = new RingProducer(Relay.Ring(_region, 0), Relay.GuestSlots);
            _seen = new RingConsumer(Relay.Ring(_region, 1), Relay.NsmSlots);
            _dones = new RingProducer(Relay.Ring(_region, 2), Relay.NsmSlots);
            _done = new RingConsumer(Relay.Ring(_region, 3), Relay.GuestSlots);
            Other = Process.Start(new ProcessStartInfo("dotnet", [typeof(Relay).Assembly.Location, "relay", $"{Environment.ProcessId}", $"{_region.Fd}"])
            {
                RedirectStandardOutput = true,
            })!;
            _ = Other.StandardOutput.ReadLine();
        }

        /// <summary>It polls for ever: it must not take the core from the other measurement.</summary>
        public override void Pause(bool pause) => Process.Start("kill", [pause ? "-STOP" : "-CONT", $"{Other.Id}"])!.WaitForExit();

        protected override uint PostSends(ReadOnlySpan<Nqe> elements)
        {
            fixed (Nqe* first = elements)
            {
                return _sends.Enqueue(first, (uint)elements.Length);
            }
        }

        protected override uint TakeSends(Span<Nqe> elements)
        {
            fixed (Nqe* first = elements)
            {
                return _seen.Dequeue(first, (uint)elements.Length);
            }
        }

        protected override void PostDones(ReadOnlySpan<Nqe> elements)
        {
            fixed (Nqe* first = elements)
            {
                for (uint n = 0; n < elements.Length;)
                {
                    n += _dones.Enqueue(first + n, (uint)elements.Length - n);
                }
            }
        }

        protected override uint TakeDones(Span<Nqe> elements)
        {
            fixed (Nqe* first = elements)
            {
                return _done.Dequeue(first, (uint)elements.Length);
            }
        }

        protected override void Release() => _region.Dispose();
    }
}
