using System.Buffers.Binary;
using System.Net;
using System.Runtime.InteropServices;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Engine;

/// <summary>CoreEngine refused a request; <see cref="Errno"/> is Linux's.</summary>
internal sealed class EngineException(int errno, string message) : Exception(message)
{
    public int Errno { get; } = errno;
}

/// <summary>
/// The control connection to CoreEngine: one request at a time, each answered by its own op; what comes unasked is handed to a listener, on
/// the reader's thread.
/// </summary>
internal sealed class EngineClient : IDisposable
{
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(5);

    private readonly int _fd;
    private readonly Action<AttachMessage, string> _unasked;
    private readonly Action _lost;
    private readonly Lock _requests = new();
    private readonly Lock _sync = new();
    private readonly Thread _reader;
    private TaskCompletionSource<AttachMessage>? _waiting;
    private readonly List<AttachOp> _late = [];
    private AttachOp _waitingOp;
    private bool _ended;

    private EngineClient(int fd, Action<AttachMessage, string> unasked, Action lost)
    {
        _fd = fd;
        _unasked = unasked;
        _lost = lost;
        _reader = new Thread(Read) { IsBackground = true, Name = "engine control" };
    }

    /// <summary>Connects and says hello. Null when nobody listens there (yet).</summary>
    public static EngineClient? TryConnect(string path, Action<AttachMessage, string> unasked, Action lost)
    {
        int fd = SeqPacket.Connect(path);
        if (fd < 0)
        {
            return null;
        }

        var client = new EngineClient(fd, unasked, lost);
        client._reader.Start();
        client.Ask(new AttachMessage { Op = AttachOp.ControlHello });
        return client;
    }

    public void AddNsm(NsmRecord nsm) => Ask(Named(new AttachMessage { Op = AttachOp.AddNsm, Nsm = nsm.Id }, nsm.Name));

    /// <summary>Returns when every switching loop has been round.</summary>
    public void Ping() => Ask(new AttachMessage { Op = AttachOp.Ping });

    public void RemoveNsm(uint id) => Ask(new AttachMessage { Op = AttachOp.RemoveNsm, Nsm = id });

    public void AddGuest(GuestRecord guest, uint nsm, uint tenant, bool hostMode, uint sharedMemory)
    {
        AttachMessage message = Message(guest, nsm, hostMode) with { Slot = tenant, Limits = new LimitsMessage { PoolBytes = PoolBytes(guest) } };
        message.Flags |= sharedMemory;
        _ = Ask(Named(WithCongestion(message, guest.Declared.CongestionControl), guest.Name));
    }

    /// <summary>The congestion control of a guest's new connections; empty: its NSMs'. Returns when those have theirs given (<see cref="AttachOp.CongestionTold"/>).</summary>
    public void SetCongestion(uint guest, string name) => Ask(WithCongestion(new AttachMessage { Op = AttachOp.SetCongestion, Guest = guest }, name));

    /// <summary>How a guest's connections may go by shared memory from now on: bits of <see cref="RegionFlags"/>.</summary>
    public void SetSharedMemory(uint guest, uint flags) => Ask(new AttachMessage { Op = AttachOp.SetSharedMemory, Guest = guest, Flags = flags });

    /// <summary>The guest with the lowest id above this one; null when there is none.</summary>
    public AttachMessage? NextGuest(uint id) => Next(new AttachMessage { Op = AttachOp.NextGuest, Guest = id });

    /// <summary>The NSM with the lowest id above this one, with its process id in Slot; null when there is none.</summary>
    public AttachMessage? NextNsm(uint id) => Next(new AttachMessage { Op = AttachOp.NextNsm, Nsm = id });

    /// <summary>Limits from now on, of a guest or (guest 0) of a tenant. Throws with ENOSYS when the engine (of an older version) enforces none.</summary>
    public void SetLimits(uint guest, uint tenant, LimitsMessage limits) =>
        Ask(new AttachMessage { Op = AttachOp.SetLimits, Guest = guest, Slot = tenant, Limits = limits });

    /// <summary>One NSM more serves a guest, from when this returns on.</summary>
    public void UseNsm(uint guest, uint nsm) => Ask(new AttachMessage { Op = AttachOp.UseNsm, Guest = guest, Nsm = nsm });

    /// <summary>An NSM serves a guest no more: what is left there is reset.</summary>
    public void LeaveNsm(uint guest, uint nsm) => Ask(new AttachMessage { Op = AttachOp.LeaveNsm, Guest = guest, Nsm = nsm });

    public void SetRules(uint guest, IReadOnlyList<RuleMessage> rules)
    {
        for (int i = 0; i < rules.Count; i++)
        {
            _ = Ask(new AttachMessage { Op = AttachOp.SetRule, Guest = guest, Slot = (uint)i, Flags = (uint)rules.Count, Rule = rules[i] });
        }
    }

    /// <summary>The NSM that serves a guest with the lowest id above this one, with the connections there in Slot and sockets that are just moving in Flags; null when there is none.</summary>
    public AttachMessage? NextUse(uint guest, uint nsm) => Next(new AttachMessage { Op = AttachOp.NextUse, Guest = guest, Nsm = nsm });

    /// <summary>Whether what the engine has is the declared guest; NSMs apart.</summary>
    public static bool Matches(AttachMessage there, GuestRecord guest, bool hostMode)
    {
        AttachMessage wanted = Message(guest, there.Nsm, hostMode);
        return NameIn(there) == guest.Name && there.Address4 == wanted.Address4 && there.Address6Low == wanted.Address6Low
            && there.Address6High == wanted.Address6High && there.NetworkNamespace == guest.NamespaceInode
            && (PoolBytes(guest) == 0 || there.Pool.Tx.Bytes + there.Pool.Rx.Bytes <= PoolBytes(guest));
    }

    private static ulong PoolBytes(GuestRecord guest) => guest.Declared.Limits?.PoolBytes ?? 0;

    public static unsafe string NameIn(AttachMessage message) => SeqPacket.Get(MemoryMarshal.CreateReadOnlySpan(ref message.Name[0], 40));

    public static unsafe string Text(AttachMessage message) => SeqPacket.Get(MemoryMarshal.CreateReadOnlySpan(ref message.Text[0], 128));

    public void RemoveGuest(uint id) => Ask(new AttachMessage { Op = AttachOp.RemoveGuest, Guest = id });

    public void Stop() => Ask(new AttachMessage { Op = AttachOp.Stop });

    public void Dispose()
    {
        lock (_sync)
        {
            if (!_ended)
            {
                // Ends the reader's blocking receive; the reader closes the socket.
                _ = Libc.Shutdown(_fd, 2);
            }
        }
    }

    private static AttachMessage Message(GuestRecord guest, uint nsm, bool hostMode)
    {
        byte[] six = hostMode ? new byte[16] : IPAddress.Parse(guest.Ipv6).GetAddressBytes();
        return new AttachMessage
        {
            Op = AttachOp.AddGuest,
            Guest = guest.Id,
            Nsm = nsm,
            Flags = hostMode ? RegionFlags.HostMode : 0,
            Address4 = hostMode ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(IPAddress.Parse(guest.Ipv4).GetAddressBytes()),
            Address6Low = BinaryPrimitives.ReadUInt64LittleEndian(six),
            Address6High = BinaryPrimitives.ReadUInt64LittleEndian(six.AsSpan(8)),
            NetworkNamespace = guest.NamespaceInode,
        };
    }

    private AttachMessage? Next(AttachMessage message)
    {
        try
        {
            return Ask(message);
        }
        catch (EngineException e) when (e.Errno == Libc.ENOENT)
        {
            return null;
        }
    }

    private static unsafe AttachMessage WithCongestion(AttachMessage message, string name)
    {
        SeqPacket.Put(new Span<byte>(message.Congestion, AttachMessage.CongestionBytes), name);
        return message;
    }

    private static unsafe AttachMessage Named(AttachMessage message, string name)
    {
        SeqPacket.Put(new Span<byte>(message.Name, 40), name);
        return message;
    }

    private AttachMessage Ask(AttachMessage message)
    {
        lock (_requests)
        {
            TaskCompletionSource<AttachMessage> waiting = new(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_sync)
            {
                if (_ended)
                {
                    throw new EngineException(Libc.EPIPE, "CoreEngine is not running; it is being started again");
                }

                _waiting = waiting;
                _waitingOp = message.Op;
            }

            int sent = SeqPacket.Send(_fd, message, []);
            if (sent < 0)
            {
                throw new EngineException(-sent, $"CoreEngine does not take requests: {Libc.Describe(-sent)}");
            }

            if (!waiting.Task.Wait(AnswerTime))
            {
                lock (_sync)
                {
                    // Its answer may still come: it is nobody's then.
                    if (_waiting == waiting)
                    {
                        _waiting = null;
                        _late.Add(message.Op);
                    }
                }

                throw new EngineException(Libc.ETIMEDOUT, $"CoreEngine did not answer {message.Op} within {AnswerTime.TotalSeconds} s");
            }

            AttachMessage answer = waiting.Task.Result;
            if (answer.Error != 0)
            {
                string text = Text(answer);
                throw new EngineException(answer.Error, text.Length > 0 ? text : $"{message.Op}: {Libc.Describe(answer.Error)}");
            }

            return answer;
        }
    }

    private void Read()
    {
        Span<int> fds = stackalloc int[SeqPacket.MaxFds];
        while (true)
        {
            int count = SeqPacket.Receive(_fd, out AttachMessage message, fds, out _, wait: true);
            if (count == -Libc.EAGAIN)
            {
                continue;
            }

            if (count < 0)
            {
                break;
            }

            SeqPacket.CloseAll(fds[..count]);
            TaskCompletionSource<AttachMessage>? answered = null;
            lock (_sync)
            {
                if (_late.Remove(message.Op))
                {
                    continue;
                }

                if (_waiting is not null && message.Op == _waitingOp)
                {
                    answered = _waiting;
                    _waiting = null;
                }
            }

            if (answered is not null)
            {
                answered.SetResult(message);
            }
            else
            {
                _unasked(message, Text(message));
            }
        }

        TaskCompletionSource<AttachMessage>? left;
        lock (_sync)
        {
            _ended = true;
            left = _waiting;
            _waiting = null;
            _ = Libc.Close(_fd);
        }

        left?.SetResult(new AttachMessage { Op = _waitingOp, Error = Libc.EPIPE });
        _lost();
    }
}
