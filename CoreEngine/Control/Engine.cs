using System.Collections.Generic;
using System.ComponentModel;
using System.IO;
using NetKernel.Channel.Host;

namespace NetKernel.CoreEngine.Control;

/// <summary>A command made of a method.</summary>
internal sealed class Do(Action<SwitchLoop> action) : LoopCommand
{
    public override void Run(SwitchLoop loop) => action(loop);
}

/// <summary>
/// The control thread: attaching, detaching, deaths. It owns guests and NSMs; the loops own the switching, and are told what to do by
/// commands. Nothing on the data path waits for this thread.
/// </summary>
internal sealed unsafe partial class Engine : IDisposable
{
    private readonly EngineOptions _options;
    private readonly StatsFile _stats;
    private readonly SourceSet _sources = new();
    private readonly ExportWatch _exports = new();
    private readonly SwitchLoop[] _loops;
    private readonly Thread[] _threads;
    private readonly Dictionary<uint, Guest> _guests = [];
    private readonly Dictionary<uint, Nsm> _nsms = [];
    private readonly List<EnginePeer> _peers = [];
    private readonly int _calls; // eventfd: a loop has something to tell, or a signal came
    private volatile bool _stopWanted;

    public Engine(EngineOptions options)
    {
        _options = options;
        MakeDirectories();
        _stats = new StatsFile(options.StatsFile, options.Loops);
        _calls = Libc.EventFd(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        _sources.Add(new CallSource(HearLoops), _calls);
        Listen(options.EngineSocket, 0x180, AcceptPeers); // 0600

        _loops = new SwitchLoop[options.Loops];
        _threads = new Thread[options.Loops];
        for (uint i = 0; i < options.Loops; i++)
        {
            _loops[i] = new SwitchLoop(i, _stats.Header, _calls);
            _threads[i] = new Thread(_loops[i].Run) { Name = $"loop-{i}", IsBackground = true };
            _threads[i].Start();
        }

        if (options.SharedMemory)
        {
            StartSharedMemory();
        }

        Log.Info("started", ("dir", options.RunDirectory), ("loops", options.Loops), ("pid", Environment.ProcessId));
    }

    /// <summary>The loops, for tests.</summary>
    public SwitchLoop[] Loops => _loops;

    /// <summary>Serves until a stop is asked for.</summary>
    public void Run()
    {
        while (!_stopWanted)
        {
            _sources.Wait(_exports.TimeoutMs);
            SettleLeft();
            if (_exports.IsDue)
            {
                CheckExports();
            }
        }
    }

    /// <summary>Ends <see cref="Run"/>; from any thread.</summary>
    public void RequestStop()
    {
        _stopWanted = true;
        ulong one = 1;
        _ = Libc.WriteFast(_calls, &one, sizeof(ulong));
    }

    /// <summary>Ends in order: every process and NSM is told, sockets and the counter file go.</summary>
    public void Dispose()
    {
        StopSharedMemory();
        OnLoops(loop => loop.Stop());
        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        foreach (Guest guest in _guests.Values)
        {
            CloseGuest(guest);
            guest.TearDown();
        }

        foreach (Nsm nsm in _nsms.Values)
        {
            nsm.Detach();
        }

        foreach (EnginePeer peer in _peers)
        {
            peer.Close();
        }

        foreach (SwitchLoop loop in _loops)
        {
            loop.Dispose();
        }

        EndSharedMemory();

        _sources.Dispose();
        _exports.Dispose();
        _stats.Dispose();
        File.Delete(_options.EngineSocket);
        Log.Info("stopped");
    }

    /// <summary>Lets every loop run something and waits until all have.</summary>
    private void OnLoops(Action<SwitchLoop> action)
    {
        var commands = new Do[_loops.Length];
        for (int i = 0; i < _loops.Length; i++)
        {
            commands[i] = new Do(action);
            _loops[i].Post(commands[i]);
        }

        foreach (Do command in commands)
        {
            command.Wait();
        }
    }

    /// <summary>What loops have to tell lies in the ports; the eventfd only says that somebody should look.</summary>
    private void HearLoops()
    {
        ulong count;
        _ = Libc.ReadFast(_calls, &count, sizeof(ulong));
        TakeSharedMemory();
        foreach (Guest guest in _guests.Values)
        {
            if (!guest.IsTornDown)
            {
                Hear(guest);
            }
        }

        foreach (Nsm nsm in _nsms.Values)
        {
            foreach (NsmPort port in nsm.Ports)
            {
                if (Volatile.Read(ref port.Broken))
                {
                    PeerEnded(nsm.Peer!, "impossible ring indices");
                    break;
                }
            }
        }
    }

    private void Hear(Guest guest)
    {
        foreach (GuestPort port in guest.Ports)
        {
            var violation = (Violation)Volatile.Read(ref port.ViolationCode);
            if (violation != Violation.None)
            {
                Detach(guest, ViolationText.Of(violation, port.ViolationQueueSet, port.ViolationDetail));
                return;
            }

            uint lost = Interlocked.Exchange(ref port.LostListeners, 0);
            if (lost != 0)
            {
                Log.Warn("listeners-lost", ("guest", guest.Name), ("count", lost), ("reason", "the new NSM could not make them again"));
            }

            uint options = Interlocked.Exchange(ref port.LostOptions, 0);
            if (options != 0)
            {
                ulong last = port.LostOption;
                Log.Warn(
                    "options-lost", ("guest", guest.Name), ("nsm", port.LostOptionNsm), ("count", options), ("level", (uint)last), ("name", (uint)(last >> 32)),
                    ("reason", "sockets were made again at an NSM that does not have these options; the last one is named"));
            }

            uint unmoved = Interlocked.Exchange(ref port.UnmovedListeners, 0);
            if (unmoved != 0)
            {
                Log.Warn("listeners-not-moved", ("guest", guest.Name), ("count", unmoved), ("reason", "the new NSM does not take their address; they stay where they are"));
            }

            if (Interlocked.Exchange(ref port.PacedNews, false))
            {
                string reason = HeldReason(guest);
                Log.Warn("guest-held", ("guest", guest.Name), ("times", port.Counters->Paced), ("reason", reason));
                Tell(guest.Message(AttachOp.GuestHeld), reason);
            }
        }

        TakeReaped(guest);
    }

    private void MakeDirectories()
    {
        const UnixFileMode Pass = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute; // 0711: to be passed through, not listed
        if (!Directory.Exists(_options.RunDirectory))
        {
            _ = Directory.CreateDirectory(_options.RunDirectory, Pass);
        }

        _ = Directory.CreateDirectory(_options.GuestDirectory, Pass);
        File.SetUnixFileMode(_options.GuestDirectory, Pass);

        // A previous run's sockets answer nobody; and whoever still runs would notice: two engines must not share a directory.
        int other = SeqPacket.Connect(_options.EngineSocket);
        if (other >= 0)
        {
            _ = Libc.Close(other);
            throw new IOException($"another nk-engine serves {_options.RunDirectory}: stop it first, or use another --run-dir");
        }

        File.Delete(_options.EngineSocket);
        foreach (string stale in Directory.GetFiles(_options.GuestDirectory, "*.sock"))
        {
            File.Delete(stale);
        }
    }

    private CallSource Listen(string path, uint mode, Action<int> accept)
    {
        uint mask = Native.UMask(0x1FF & ~mode);
        int fd = SeqPacket.Listen(path);
        _ = Native.UMask(mask);
        if (fd < 0)
        {
            throw new Win32Exception(-fd, $"cannot listen on {path}: {Libc.Describe(-fd)}");
        }

        File.SetUnixFileMode(path, (UnixFileMode)mode);
        CallSource? source = null;
        source = new CallSource(() => accept(source!.Fd));
        _sources.Add(source, fd);
        return source;
    }
}
