using NetKernel.Nsm.SharedMem;
using NetKernel.ServiceLib;

namespace NetKernel.CoreEngine.Control;

/// <summary>
/// The shared-memory NSM, inside this process: it attaches by engine.sock as any NSM does. With one loop it is turned by that loop's thread, with several it has a thread of its own, because
/// its connections join guests of different loops (docs/adr/0007).
/// </summary>
internal sealed partial class Engine
{
    private Thread? _sharedThread;
    private NsmChannel? _sharedChannel;
    private volatile StackHost? _sharedHost;
    private volatile DirectRegions? _sharedRegions;
    private readonly Reach _reach = new(SwitchLoop.MaxGuests);
    private bool _sharedTaken;

    private void StartSharedMemory()
    {
        _nsms.Add(SwitchLoop.SharedNsm, new Nsm(SwitchLoop.SharedNsm, "sharedmem"));
        _sharedThread = new Thread(RunSharedMemory) { Name = "sharedmem", IsBackground = true };
        _sharedThread.Start();
    }

    private void RunSharedMemory()
    {
        try
        {
            NsmChannel channel = NsmChannel.Attach(_options.RunDirectory, SwitchLoop.SharedNsm);
            _sharedChannel = channel;
            // A test switch: short conversations of the tests are to go in the direct form, too.
            SharedMemStack stack = uint.TryParse(Environment.GetEnvironmentVariable("NETKERNEL_DIRECT_AFTER"), out uint after) ? new(_reach, after) : new(_reach);
            _sharedRegions = stack.Regions;
            StackHost host = new(channel, stack);
            _sharedHost = host;
            CallLoops();
            if (_loops.Length > 1)
            {
                _ = host.Run(new IdleStrategy(spins: 0, yields: 20));
            }
        }
        catch (AttachException e)
        {
            Log.Error("sharedmem-off", ("reason", e.Message));
        }
    }

    /// <summary>The stack is there: with one loop, that takes it in.</summary>
    private void TakeSharedMemory()
    {
        if (!_sharedTaken && _sharedHost is { } host)
        {
            _sharedTaken = true;
            if (_loops.Length == 1)
            {
                OnLoops(loop => loop.TakeIn(host));
            }
        }
    }

    private void StopSharedMemory()
    {
        if (_loops.Length > 1)
        {
            _sharedHost?.Stop();
            _sharedThread?.Join();
        }
    }

    private void EndSharedMemory()
    {
        if (_loops.Length == 1)
        {
            _sharedHost?.End();
        }

        _sharedChannel?.Dispose();
    }

    private void SetSharedMemory(EnginePeer peer, ref AttachMessage message)
    {
        uint policy = message.Flags;
        if (!_guests.TryGetValue(message.Guest, out Guest? guest))
        {
            Reply(peer, message, Channel.Host.Libc.ENOENT, $"no guest {message.Guest}");
            return;
        }

        if ((policy & ~RegionFlags.SharedMemoryPolicy) != 0)
        {
            Reply(peer, message, Channel.Host.Libc.EINVAL, $"flags {policy:x} are no policy");
            return;
        }

        _reach.Set(guest.Id, guest.Tenant, policy);
        OnLoops(loop => loop.SharedMemoryChanged(guest.Id, policy));
        Log.Info("shared-memory", ("guest", guest.Name), ("flags", policy.ToString("x", System.Globalization.CultureInfo.InvariantCulture)));
        Reply(peer, message, 0, "");
    }

    /// <summary>A process of a guest asks for a region of the direct form.</summary>
    private void GiveRegion(GuestConnection connection, uint place, int pid)
    {
        Guest guest = connection.Guest;
        bool may = guest.Detached == null && (guest.NetworkNamespace == 0 || Native.NamespaceOf(pid) == guest.NetworkNamespace);
        int memory = may && _sharedRegions is { } regions ? regions.Open(place, guest.Id) : -1;
        AttachMessage answer = guest.Message(AttachOp.Pair);
        if (memory < 0)
        {
            answer.Error = Channel.Host.Libc.EACCES;
            connection.Send(answer);
            return;
        }

        Log.Info("direct-region", ("guest", guest.Name), ("pid", pid), ("region", DirectPlace.IndexOf(place)));
        connection.Send(answer, [memory]);
        _ = Channel.Host.Libc.Close(memory);
    }

    private unsafe void CallLoops()
    {
        ulong one = 1;
        _ = Channel.Host.Libc.WriteFast(_calls, &one, sizeof(ulong));
    }
}
