using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Tests;

/// <summary>
/// CoreEngine's side of engine.sock. The programs that nkd starts are scripts that leave a file and sleep; this listens when that of the engine appears, and says
/// NsmReady when an NSM's does.
/// </summary>
internal sealed class FakeEngine : IDisposable
{
    private readonly string _runDirectory;
    private readonly Thread _thread;
    private volatile bool _stop;
    private volatile int _connection = -1;

    public FakeEngine(string runDirectory)
    {
        _runDirectory = runDirectory;
        Directory.CreateDirectory(runDirectory);
        _thread = new Thread(Serve) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>What nkd has asked; the lock of it is pulsed with each.</summary>
    public List<AttachMessage> Requests { get; } = [];

    /// <summary>Waits until something holds of <see cref="Requests"/>, which is locked while it is asked.</summary>
    public void Await(Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)Eventually.Deadline.TotalMilliseconds;
        lock (Requests)
        {
            while (!condition())
            {
                Assert.True(Monitor.Wait(Requests, (int)Math.Max(1, end - Environment.TickCount64)), "nkd does not ask for it");
            }
        }
    }

    /// <summary>The errno and text that the next request of an op gets.</summary>
    public (AttachOp Op, int Error, string Text)? Refusal { get; set; }

    /// <summary>Writes the scripts; the folder is nkd's --bin-dir.</summary>
    public static void WritePrograms(string folder)
    {
        foreach ((string name, string file) in new[] { ("nk-engine", "\"$2/engine.started\""), ("nk-nsm-kernel", "\"$2/nsm.$4\""), ("nk-nsm-mtcp", "\"$2/nsm.$4\"") })
        {
            string path = Path.Combine(folder, name);
            File.WriteAllText(path, $"#!/bin/sh\n: > {file}\nexec sleep 1000\n");
            File.SetUnixFileMode(path, (UnixFileMode)0x1ED);
        }

        File.WriteAllText(Path.Combine(folder, "libnetkernel.so"), "");
    }

    public void Tell(AttachOp op, uint guest, uint nsm, string text)
    {
        var message = new AttachMessage { Op = op, Guest = guest, Nsm = nsm };
        Put(ref message, text);
        while (SeqPacket.Send(_connection, message, []) is var errno && errno != 0)
        {
            Assert.Equal(-Libc.EAGAIN, errno); // nkd has not read what came before
            _ = Thread.Yield();
        }
    }

    public void Dispose()
    {
        _stop = true;
        _thread.Join();
    }

    private static unsafe void Put(ref AttachMessage message, string text)
    {
        fixed (byte* room = message.Text)
        {
            SeqPacket.Put(new Span<byte>(room, 128), text);
        }
    }

    private void Serve()
    {
        int listener = -1;
        while (!_stop)
        {
            if (Taken("engine.started"))
            {
                Close(ref listener);
                int old = _connection;
                Close(ref old);
                _connection = -1;
                listener = SeqPacket.Listen(Path.Combine(_runDirectory, "engine.sock"));
            }

            if (listener >= 0 && _connection < 0)
            {
                int fd = SeqPacket.Accept(listener);
                _connection = fd >= 0 ? fd : -1;
            }

            if (_connection >= 0)
            {
                Answer();
                for (uint nsm = 1; nsm <= 4; nsm++)
                {
                    if (Taken($"nsm.{nsm}"))
                    {
                        _ = SeqPacket.Send(_connection, new AttachMessage { Op = AttachOp.NsmReady, Nsm = nsm }, []);
                    }
                }
            }

            Thread.Sleep(1);
        }

        Close(ref listener);
        int last = _connection;
        Close(ref last);
    }

    private void Answer()
    {
        int got = SeqPacket.Receive(_connection, out AttachMessage message, [], out _);
        if (got < 0)
        {
            return;
        }

        if (message.Op is AttachOp.NextGuest or AttachOp.NextNsm)
        {
            message.Error = Libc.ENOENT; // it has just been started, and has nothing
            _ = SeqPacket.Send(_connection, message, []);
            return;
        }

        lock (Requests)
        {
            Requests.Add(message);
            Monitor.PulseAll(Requests);
        }

        if (Refusal is { } refusal && refusal.Op == message.Op)
        {
            Refusal = null;
            message.Error = refusal.Error;
            Put(ref message, refusal.Text);
        }

        _ = SeqPacket.Send(_connection, message, []);
    }

    private bool Taken(string file)
    {
        string path = Path.Combine(_runDirectory, file);
        if (!File.Exists(path))
        {
            return false;
        }

        File.Delete(path);
        return true;
    }

    private static void Close(ref int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.Close(fd);
            fd = -1;
        }
    }
}
