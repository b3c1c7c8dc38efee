using NetKernel.Channel;

namespace NetKernel.ServiceLib;

/// <content>
/// Connections that have something to do, and whose turn it is: the guests take turns, one connection's Run each, and so do the connections of a guest. A guest with a thousand busy connections
/// gets no more of the stack than one with a single one.
/// </content>
public sealed unsafe partial class StackHost
{
    private const uint RunsPerTurn = 64; // then the rings are looked at again

    private Guest? _firstReady;
    private Guest? _lastReady;
    private uint _readyCount;

    /// <summary>Puts a connection into its guest's ready list, if it is not there.</summary>
    public void Schedule(Connection* c)
    {
        if (c->Has(ConnectionFlags.Scheduled | ConnectionFlags.Finished))
        {
            return;
        }

        Guest guest = GuestOf(c);
        c->Flags |= ConnectionFlags.Scheduled;
        c->ReadyNext = null;
        if (guest.LastReady != null)
        {
            guest.LastReady->ReadyNext = c;
        }
        else
        {
            guest.FirstReady = c;
        }

        guest.LastReady = c;
        _readyCount++;
        if (!guest.IsReady)
        {
            Enqueue(guest);
        }
    }

    private uint RunScheduled()
    {
        uint todo = _readyCount < RunsPerTurn ? _readyCount : RunsPerTurn;
        uint ran = 0;
        for (uint i = 0; i < todo && _readyCount != 0; i++)
        {
            Connection* c = TakeReady();
            if (!_sets[c->QueueSet].HasRoom(RunCompletions, RunEvents))
            {
                Schedule(c);
                _sets[c->QueueSet].Publish();
                continue;
            }

            ran++;
            MeasureIfDue(c);
            _stack.Run(c);
        }

        return ran;
    }

    /// <summary>The connection whose turn it is; there is one. Its guest goes to the end of the line, if it has more.</summary>
    private Connection* TakeReady()
    {
        Guest guest = _firstReady!;
        while (guest.FirstReady == null)
        {
            guest = Dequeue(); // what it had is gone
        }

        _ = Dequeue();
        Connection* c = guest.FirstReady;
        guest.FirstReady = c->ReadyNext;
        if (guest.FirstReady == null)
        {
            guest.LastReady = null;
        }
        else
        {
            Enqueue(guest);
        }

        _readyCount--;
        c->Flags &= ~ConnectionFlags.Scheduled;
        return c;
    }

    private void Enqueue(Guest guest)
    {
        guest.IsReady = true;
        guest.NextReady = null;
        if (_lastReady != null)
        {
            _lastReady.NextReady = guest;
        }
        else
        {
            _firstReady = guest;
        }

        _lastReady = guest;
    }

    /// <summary>Takes the first guest out of the line; the one that is first then.</summary>
    private Guest Dequeue()
    {
        Guest first = _firstReady!;
        first.IsReady = false;
        _firstReady = first.NextReady;
        first.NextReady = null;
        if (_firstReady == null)
        {
            _lastReady = null;
        }

        return _firstReady!;
    }

    private void Unschedule(Connection* c)
    {
        if (!c->Has(ConnectionFlags.Scheduled))
        {
            return;
        }

        Guest guest = GuestOf(c);
        Connection* before = null;
        Connection* at = guest.FirstReady;
        while (at != c)
        {
            before = at;
            at = at->ReadyNext;
        }

        if (before == null)
        {
            guest.FirstReady = c->ReadyNext;
        }
        else
        {
            before->ReadyNext = c->ReadyNext;
        }

        if (guest.LastReady == c)
        {
            guest.LastReady = before;
        }

        _readyCount--;
        c->Flags &= ~ConnectionFlags.Scheduled;
    }
}
