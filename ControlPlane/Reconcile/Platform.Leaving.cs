using Google.Protobuf.WellKnownTypes;
using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>
/// NSMs that guests leave: when nothing of a guest is there any more, or time is up. The times are declared, so that a drain ends on time under the next nkd, too.
/// Called under the registry's lock.
/// </summary>
internal sealed partial class Platform
{
    private static readonly TimeSpan LeaveEvery = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Milliseconds that an NSM is not left after a move, even with nothing there: handshakes that began there end there, and are accepted there, also when a segment is lost.
    /// </summary>
    private const long LeastStay = 3000;

    /// <summary>
    /// Notes in a guest that is about to be declared when its connections are reset at the NSMs that it leaves: in so many seconds at all of them; with 0 never at those that it leaves by this
    /// change, and as said before at others.
    /// </summary>
    public void SetLeaveBy(GuestRecord guest, Guest after, uint seconds)
    {
        HashSet<uint> stay = [.. FlowTable.For(after, registry.Now).Nsms.Select(nsm => nsm.Id)];
        var by = Timestamp.FromDateTime(DateTime.UtcNow.AddSeconds(seconds));
        foreach ((uint id, bool wanted) in guest.Uses)
        {
            if (registry.Now.NsmOf(id) is not { } nsm)
            {
                continue;
            }

            if (stay.Contains(id) || (wanted && seconds == 0))
            {
                _ = after.LeaveBy.Remove(nsm.Name);
            }
            else if (seconds > 0)
            {
                after.LeaveBy[nsm.Name] = by;
            }
        }
    }

    /// <summary>Leaves NSMs where nothing is left, or time is up; stops those that are drained.</summary>
    private async Task LookAtLeavingAsync()
    {
        using var timer = new PeriodicTimer(LeaveEvery);
        try
        {
            while (await timer.WaitForNextTickAsync(_ending.Token))
            {
                Snapshot now = registry.Now;
                bool leaving = now.Guests.Values.Any(guest => guest.Uses.ContainsValue(false) || guest.Declared.LeaveBy.Count > 0);
                if (!leaving && !now.Nsms.Values.Any(nsm => nsm.Declared.Drained && ProcessOf(nsm) is not null))
                {
                    continue;
                }

                await registry.Changes.WaitAsync(_ending.Token);
                try
                {
                    if (_engine is { } engine)
                    {
                        await LeaveDoneAsync(engine);
                    }
                }
                catch (EngineException e)
                {
                    LogNotPlaced("all", e.Message); // it is ending, or another look will tell
                }
                finally
                {
                    registry.Changes.Release();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The end.
        }
    }

    private async Task LeaveDoneAsync(EngineClient engine)
    {
        Snapshot now = registry.Now;
        var remaining = new Dictionary<uint, long>();
        foreach (GuestRecord guest in now.Guests.Values)
        {
            foreach (uint id in guest.Uses.Where(use => !use.Value).Select(use => use.Key))
            {
                AttachMessage? use = engine.NextUse(guest.Id, id - 1);
                uint count = use is { } there && there.Nsm == id ? there.Slot : 0;
                bool quiet = count == 0 && Environment.TickCount64 - guest.MovedAt >= LeastStay;
                if (quiet || DateTime.UtcNow >= ResetBy(guest, now.NsmOf(id)))
                {
                    Leave(engine, guest, id);
                }
                else
                {
                    remaining[id] = remaining.GetValueOrDefault(id) + count;
                }
            }
        }

        Declaration[] left = [.. now.Guests.Values.Select(WithoutPast).OfType<Declaration>()];
        if (left.Length > 0)
        {
            await registry.CommitAsync(left);
        }

        foreach (NsmRecord nsm in now.Nsms.Values.Where(nsm => nsm.Declared.Drained))
        {
            long count = remaining.GetValueOrDefault(nsm.Id);
            if (count != nsm.ConnectionsLeft)
            {
                nsm.ConnectionsLeft = count;
                Tell(Registry.NsmKind, nsm.Name);
            }

            if (ProcessOf(nsm) is not null && !now.Guests.Values.Any(guest => guest.Uses.ContainsKey(nsm.Id)))
            {
                await StopNsmAsync(nsm);
                nsm.Ready = false;
                nsm.Reason = "drained";
                LogDrained(nsm.Name);
                Tell(Registry.NsmKind, nsm.Name);
            }
        }
    }

    private void Leave(EngineClient engine, GuestRecord guest, uint id)
    {
        NsmRecord? nsm = registry.Now.NsmOf(id);
        try
        {
            engine.LeaveNsm(guest.Id, id);
        }
        catch (EngineException e) when (e.Errno == Channel.Host.Libc.ENOENT)
        {
            // It has left already.
        }

        guest.Uses = guest.Uses.Remove(id);
        if (nsm is not null)
        {
            guest.MovedAt = Environment.TickCount64;
            network.Unserve(guest, nsm, guest.Uses.Keys.Select(registry.Now.NsmOf).OfType<NsmRecord>().FirstOrDefault());
        }

        LogLeft(guest.Name, nsm?.Name ?? Text(id));
        Tell(Registry.GuestKind, guest.Name);
    }

    /// <summary>All guests leave an NSM that goes.</summary>
    private void LeaveAll(NsmRecord nsm)
    {
        if (_engine is not { } engine)
        {
            return;
        }

        foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.Uses.ContainsKey(nsm.Id)))
        {
            try
            {
                Leave(engine, guest, nsm.Id);
            }
            catch (EngineException e)
            {
                LogNotPlaced(guest.Name, e.Message);
            }
        }
    }

    /// <summary>When connections that a guest has at an NSM which it leaves are reset: as its move or the drain said, whichever is sooner.</summary>
    private static DateTime ResetBy(GuestRecord guest, NsmRecord? nsm)
    {
        if (nsm is null)
        {
            return DateTime.MinValue; // it is declared no more
        }

        DateTime move = guest.Declared.LeaveBy.TryGetValue(nsm.Name, out Timestamp? said) ? said.ToDateTime() : DateTime.MaxValue;
        DateTime drain = nsm.Declared is { Drained: true, DrainBy: { } by } ? by.ToDateTime() : DateTime.MaxValue;
        return move < drain ? move : drain;
    }

    /// <summary>A guest without times for NSMs that it does not leave any more; null: there are none.</summary>
    private Declaration? WithoutPast(GuestRecord guest)
    {
        string[] past = [.. guest.Declared.LeaveBy.Keys.Where(name => registry.Now.Nsms.GetValueOrDefault(name) is not { } nsm || guest.Uses.GetValueOrDefault(nsm.Id, true))];
        if (past.Length == 0)
        {
            return null;
        }

        Guest without = guest.Declared.Clone();
        foreach (string name in past)
        {
            _ = without.LeaveBy.Remove(name);
        }

        return new Declaration(Registry.GuestKind, guest.Name, without);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "guest {Guest} has left NSM {Nsm}")]
    private partial void LogLeft(string guest, string nsm);

    [LoggerMessage(Level = LogLevel.Information, Message = "NSM {Nsm} is drained")]
    private partial void LogDrained(string nsm);
}
