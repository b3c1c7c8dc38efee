using System.Collections.Concurrent;
using System.Threading;
using NetKernel.Channel;
using NetKernel.Channel.Host;

namespace NetKernel.ServiceLib;

/// <content>
/// Several hosts of one NSM, each with a thread and queue sets of its own. Nothing here is on a data path: what CoreEngine says of guests, questions about connections, and the end.
/// </content>
public sealed unsafe partial class StackHost
{
    private readonly ConcurrentQueue<Action> _mail = new();
    private readonly ManualResetEventSlim _ended = new();
    private StackHost[] _all = [];
    private StackHost? _lead;
    private volatile bool _posted;

    /// <summary>Makes this host, number 0, the one that hears CoreEngine for the others (1 and up, in order). Before any of them runs.</summary>
    public void Lead(params ReadOnlySpan<StackHost> others)
    {
        _all = [this, .. others];
        foreach (StackHost other in others)
        {
            other._lead = this;
            other._measures = _measures;
            other.CountDrops();
        }
    }

    /// <summary>Does something in this host's thread, between two turns; from any thread.</summary>
    public void Post(Action action)
    {
        _mail.Enqueue(action);
        _posted = true;
        Wake();
    }

    /// <summary>The host that serves a queue set.</summary>
    internal StackHost OwnerOf(uint queueSet) => _all.Length == 0 ? this : _all[queueSet % (uint)_all.Length];

    /// <summary>Whether this host serves a queue set.</summary>
    internal bool Owns(uint queueSet) => queueSet % _shards == _shard;

    private void RunPosted()
    {
        _posted = false; // before the look: who posts after it sets it again
        while (_mail.TryDequeue(out Action? action))
        {
            action();
        }
    }

    /// <summary>The end of the loop: the first ends the others, and waits for them; any of the others ends the first.</summary>
    private void EndShards()
    {
        _ended.Set();
        HostExit why = _exit;
        StackHost? lead = _lead;
        lead?.Post(() => lead._exit = lead._exit == HostExit.None ? why : lead._exit);
        for (int i = 1; i < _all.Length; i++)
        {
            _all[i].Stop();
            _all[i]._ended.Wait();
        }
    }

    /// <summary>A guest comes, changes or goes at every host; the last one answers.</summary>
    private void ChangeGuest(in AttachMessage message, ReadOnlySpan<int> fds)
    {
        GuestChange change = new(message, fds.ToArray(), Math.Max(1, _all.Length));
        for (int i = 1; i < _all.Length; i++)
        {
            StackHost host = _all[i];
            host.Post(() => host.Change(change));
        }

        Change(change);
    }

    private void Change(GuestChange change)
    {
        int error = Apply(in change.Message, change.Fds, out string problem);
        if (!change.IsLast(error, problem))
        {
            return;
        }

        AttachMessage answer = change.Message;
        answer.Error = change.Error;
        Span<byte> text = new(answer.Text, 128);
        text.Clear();
        SeqPacket.Put(text, change.Problem);
        SeqPacket.CloseAll(change.Fds);
        if (change.Error != 0 && answer.Op == AttachOp.GuestAdded && change.Error != Libc.EEXIST)
        {
            uint guest = answer.Guest;
            foreach (StackHost host in _all)
            {
                host.Post(() => host.RemoveGuest(guest)); // those where it did come
            }
        }

        if (SeqPacket.Send(_channel.Socket, in answer, []) != 0)
        {
            _exit = HostExit.EngineGone;
        }
    }

    /// <summary>Returns an errno; the problem is what of the guest's settings is not in force, for a person.</summary>
    private int Apply(in AttachMessage message, ReadOnlySpan<int> fds, out string problem)
    {
        problem = "";
        int error = message.Op switch
        {
            AttachOp.GuestAdded => AddGuest(in message, fds),
            AttachOp.GuestChanged => FindGuest(message.Guest) == null ? Libc.ENOENT : 0,
            _ => RemoveGuest(message.Guest),
        };
        if (message.Op == AttachOp.GuestRemoved)
        {
            PublishAll(); // what was said of it is in the rings before the answer
        }
        else if (error == 0)
        {
            problem = SetCongestion(FindGuest(message.Guest)!, in message);
        }

        return error;
    }

    /// <summary>A guest's coming, change or going, under way at several hosts.</summary>
    private sealed class GuestChange(AttachMessage message, int[] fds, int hosts)
    {
        public readonly AttachMessage Message = message;
        public readonly int[] Fds = fds;
        private int _left = hosts;
        private int _error;
        private string _problem = "";

        public int Error => _error;

        /// <summary>What of its settings is not in force.</summary>
        public string Problem => _problem;

        /// <summary>One host has done it, or failed.</summary>
        public bool IsLast(int error, string problem)
        {
            if (error != 0)
            {
                _ = Interlocked.CompareExchange(ref _error, error, 0);
            }

            if (problem.Length > 0)
            {
                Volatile.Write(ref _problem, problem); // the same at every host
            }

            return Interlocked.Decrement(ref _left) == 0;
        }
    }
}
