using NetKernel.Channel;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Reconcile;

/// <summary>
/// Which NSMs serve which guests, brought into force while these run (docs/adr/0010): the new NSM first, then the rules, then, when listeners are there, what arrives.
/// Called under the registry's lock.
/// </summary>
internal sealed partial class Platform
{
    private static readonly TimeSpan MoveTime = TimeSpan.FromSeconds(2);

    /// <summary>Guests can move while programs run in them.</summary>
    public bool CanMove => network.OneNsmBecause is null;

    /// <summary>After any change of policies or NSMs: every guest is served as is declared now.</summary>
    public void PlaceGuests()
    {
        foreach (GuestRecord guest in registry.Now.Guests.Values)
        {
            PlaceGuest(guest);
        }
    }

    /// <summary>After a change of what policies or NSMs there are: guests that follow the policies are declared where these say now, and all are served as is declared.</summary>
    public async Task FollowPoliciesAsync()
    {
        Declaration[] moved = CanMove ? [.. GuestRules.Followers(registry.Now)] : [];
        if (moved.Length > 0)
        {
            await registry.CommitAsync(moved);
        }

        PlaceGuests();
    }

    /// <summary>Makes a guest be served as is declared; what cannot be is noted at the guest, and tried again.</summary>
    public void PlaceGuest(GuestRecord guest)
    {
        if (_engine is { } engine)
        {
            PlaceGuest(guest, engine);
        }
    }

    private void PlaceGuest(GuestRecord guest, EngineClient engine)
    {
        if (!CanMove || guest.DetachReason is not null || guest.Problem is not null || !guest.IsMade)
        {
            return;
        }

        FlowTable table = FlowTable.For(guest.Declared, registry.Now);
        if (NetworkModes.IsHost(guest.Declared, registry.Now))
        {
            guest.RuleProblem = table.Problem; // It has one NSM, for good.
            return;
        }

        bool plain = table.IsPlain(guest.Nsm) && guest.RulesTold.Length == 0;
        bool asIs = (plain || guest.RulesTold == table.Signature) && guest.Uses.Count(use => use.Value) == table.Nsms.Count
            && table.Nsms.All(nsm => guest.Uses.GetValueOrDefault(nsm.Id));
        if (asIs && guest.RuleProblem == table.Problem)
        {
            return;
        }

        try
        {
            Place(guest, engine, table);
            guest.RuleProblem = table.Problem;
        }
        catch (Exception e) when (e is EngineException or InvalidOperationException)
        {
            guest.RuleProblem = e.Message;
            LogNotPlaced(guest.Name, e.Message);
        }

        Tell(Registry.GuestKind, guest.Name);
    }

    private void Place(GuestRecord guest, EngineClient engine, FlowTable table)
    {
        NsmRecord? before = guest.Uses.Keys.Select(registry.Now.NsmOf).OfType<NsmRecord>().FirstOrDefault();
        network.PrepareMove();
        foreach (NsmRecord nsm in table.Nsms)
        {
            if (!guest.Uses.ContainsKey(nsm.Id))
            {
                network.Serve(guest, nsm);
                engine.UseNsm(guest.Id, nsm.Id);
            }

            guest.Uses = guest.Uses.SetItem(nsm.Id, true);
        }

        foreach (uint left in guest.Uses.Where(use => use.Value && table.Nsms.All(nsm => nsm.Id != use.Key)).Select(use => use.Key).ToArray())
        {
            guest.Uses = guest.Uses.SetItem(left, false);
            guest.MovedAt = Environment.TickCount64;
        }

        engine.SetRules(guest.Id, table.Messages());
        guest.RulesTold = table.Signature;

        // What arrives is steered only when somebody listens there: until then it goes where it went.
        long end = Environment.TickCount64 + (long)MoveTime.TotalMilliseconds;
        while (engine.NextUse(guest.Id, 0) is { Flags: > 0 } && Environment.TickCount64 < end)
        {
            Thread.Sleep(1);
        }

        network.Steer(guest, before, table.Arrivals(), BoundDatagrams(guest));
        LogPlaced(guest.Name, string.Join(", ", table.Nsms.Select(nsm => nsm.Name)));
    }

    /// <summary>Ports that a guest's datagram sockets have, and where these are: they stay there until that NSM is left.</summary>
    private List<(ushort Port, NsmRecord Nsm)> BoundDatagrams(GuestRecord guest)
    {
        var found = new List<(ushort, NsmRecord)>();
        using Microsoft.Win32.SafeHandles.SafeFileHandle? file = new EngineStats(directory.EngineStats).Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            return found;
        }

        for (uint loop = 0; loop < header.Loops; loop++)
        {
            foreach (ConnectionRow row in EngineStats.Rows<ConnectionRow>(file, header.ConnectionOf(loop, 0), header.Connections))
            {
                if (row.State != ConnectionState.Free && row.Guest == guest.Id && row.Type == (uint)Channel.Host.Libc.SOCK_DGRAM && row.LocalPort != 0
                    && registry.Now.NsmOf(row.Nsm) is { } nsm)
                {
                    found.Add((row.LocalPort, nsm));
                }
            }
        }

        return found;
    }

    /// <summary>What CoreEngine says of a guest that was there before this nkd: which NSMs serve it.</summary>
    private void FindUses(EngineClient engine, GuestRecord guest)
    {
        guest.Uses = [];
        guest.IsMade = true;
        guest.RulesTold = "?"; // what a nkd before has told is not known
        for (uint at = 0; engine.NextUse(guest.Id, at) is { } use; at = use.Nsm)
        {
            guest.Uses = guest.Uses.SetItem(use.Nsm, true);
        }

        // One NSM, as declared, without policies: whoever made it so told no rules, or these.
        if (guest.Uses.Count == 1 && registry.Now.NsmOf(guest.Uses.Keys.First())?.Name == guest.Nsm && FlowTable.For(guest.Declared, registry.Now).IsPlain(guest.Nsm))
        {
            guest.RulesTold = "";
        }
    }

    /// <summary>An NSM came or went: what arrives for the guests that others serve, too, goes to those that are there. On any thread.</summary>
    private async Task SteerAgainAsync(uint nsm)
    {
        await registry.Changes.WaitAsync();
        try
        {
            foreach (GuestRecord guest in registry.Now.Guests.Values.Where(guest => guest.Uses.Count > 1 && guest.Uses.ContainsKey(nsm)))
            {
                network.Steer(guest, null, FlowTable.For(guest.Declared, registry.Now).Arrivals(), []);
            }
        }
        catch (InvalidOperationException e)
        {
            LogNotPlaced("all", e.Message);
        }
        finally
        {
            registry.Changes.Release();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "guest {Guest} is served by {Nsms}")]
    private partial void LogPlaced(string guest, string nsms);

    [LoggerMessage(Level = LogLevel.Warning, Message = "guest {Guest} cannot be served as declared: {Why}")]
    private partial void LogNotPlaced(string guest, string why);
}
