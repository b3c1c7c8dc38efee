using Google.Protobuf.WellKnownTypes;
using Microsoft.Win32.SafeHandles;
using NetKernel.Api.V1;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Reconcile;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Usage;
using GuestCounters = NetKernel.Channel.GuestCounters;
using NsmCounters = NetKernel.Channel.NsmCounters;

namespace NetKernel.ControlPlane.Services;

/// <summary>Counters, out of CoreEngine's counter file, with names put to the ids. Costs the data plane nothing.</summary>
internal sealed class StatService(Platform platform, Registry registry, UsageMeter meter)
{
    private readonly EngineStats _stats = new(platform.Directory.EngineStats);

    public PlatformStatus Status(Caller caller)
    {
        Snapshot now = registry.Now;
        return new PlatformStatus
        {
            Version = typeof(StatService).Assembly.GetName().Version?.ToString(3) ?? "0",
            Instance = platform.Options.Instance,
            Mode = platform.Network.Mode,
            RunDirectory = platform.Directory.Root,
            StateDirectory = platform.Options.StateDirectory,
            Pid = Environment.ProcessId,
            EngineState = platform.EngineUp ? "ready" : "starting",
            EnginePid = platform.EngineProcess?.Pid ?? 0,
            EngineRestarts = platform.EngineProcess?.Restarts ?? 0,
            Loops = platform.Options.Loops,
            Guests = caller.IsOperator ? now.Guests.Count : now.Guests.Values.Count(guest => caller.Sees(guest.Declared.Tenant)),
            Nsms = now.Nsms.Count,
            UptimeSeconds = platform.Uptime.TotalSeconds,
            Library = platform.Options.Library,
            Notice = platform.Network.Notice ?? "",
            ResourceVersion = now.Revision,
            Role = caller.IsOperator ? "operator" : "tenant " + caller.Tenant,
            TookOver = platform.TookOver,
            Quotas = platform.Quotas,
            EngineLastExit = caller.IsOperator ? platform.EngineProcess?.LastExit ?? "" : "",
            EngineLastExitTime = caller.IsOperator && platform.EngineProcess?.LastExitTime is { } ended ? Timestamp.FromDateTime(ended) : null,
        };
    }

    /// <summary>One guest's counters, summed over the loops; zeros when there is no engine.</summary>
    public GuestCounters CountersOf(uint guest)
    {
        using SafeFileHandle? file = _stats.Open();
        GuestCounters sum = default;
        if (file is not null && EngineStats.Header(file) is { } header && guest < header.Guests)
        {
            for (uint loop = 0; loop < header.Loops; loop++)
            {
                Add(ref sum, EngineStats.Rows<GuestCounters>(file, header.GuestOf(loop, guest), 1)[0]);
            }
        }

        return sum;
    }

    /// <summary>One NSM's counters, summed over the loops; zeros when there is no engine.</summary>
    public NsmCounters CountersOfNsm(uint nsm)
    {
        using SafeFileHandle? file = _stats.Open();
        NsmCounters sum = default;
        if (file is not null && EngineStats.Header(file) is { } header && nsm < header.Nsms)
        {
            for (uint loop = 0; loop < header.Loops; loop++)
            {
                Add(ref sum, EngineStats.Rows<NsmCounters>(file, header.NsmOf(loop, nsm), 1)[0]);
            }
        }

        return sum;
    }

    /// <summary>All guests' counters by id, summed over the loops; empty when there is no engine.</summary>
    public GuestCounters[] AllGuests()
    {
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            return [];
        }

        uint rows = Math.Min(header.Guests, 1 + registry.Now.GuestIds.Keys.DefaultIfEmpty().Max());
        var sums = new GuestCounters[rows];
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            GuestCounters[] of = EngineStats.Rows<GuestCounters>(file, header.GuestOf(loop, 0), rows);
            for (int i = 0; i < rows; i++)
            {
                Add(ref sums[i], of[i]);
            }
        }

        return sums;
    }

    /// <summary>All counters that a caller may see; fails when there is no engine.</summary>
    public Counters Read(Caller caller)
    {
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            throw new ServiceException(FailureCode.Unavailable, "there are no counters: CoreEngine is being started; try again in a moment");
        }

        Snapshot state = SharedMemory.Among(registry.Now);
        ulong clock = Libc.Now;
        var counters = new Counters
        {
            ClockNanoseconds = clock,
            EnginePid = (int)header.Pid,
            Loops = header.Loops,
            HeartbeatAgeSeconds = Seconds(clock, header.Heartbeat),
            UptimeSeconds = Seconds(clock, header.Started),
        };
        GuestRecord[] guests = [.. state.Guests.Values.Where(guest => caller.Sees(guest.Declared.Tenant)).OrderBy(guest => guest.Id)];
        NsmRecord[] nsms = caller.IsOperator ? [.. state.Nsms.Values.OrderBy(nsm => nsm.Id)] : [];
        var guestSums = new GuestCounters[guests.Length];
        var nsmSums = new NsmCounters[nsms.Length];
        uint guestRows = Math.Min(header.Guests, 1 + guests.Select(guest => guest.Id).DefaultIfEmpty().Max());
        uint nsmRows = Math.Min(header.Nsms, 1 + nsms.Select(nsm => nsm.Id).DefaultIfEmpty().Max());
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            GuestCounters total = default;
            GuestCounters[] rows = EngineStats.Rows<GuestCounters>(file, header.GuestOf(loop, 0), guestRows);
            for (int i = 0; i < guests.Length; i++)
            {
                if (guests[i].Id < guestRows)
                {
                    Add(ref guestSums[i], rows[guests[i].Id]);
                    Add(ref total, rows[guests[i].Id]);
                }
            }

            NsmCounters[] nsmCounters = EngineStats.Rows<NsmCounters>(file, header.NsmOf(loop, 0), nsmRows);
            for (int i = 0; i < nsms.Length; i++)
            {
                if (nsms[i].Id < nsmRows)
                {
                    Add(ref nsmSums[i], nsmCounters[nsms[i].Id]);
                }
            }

            counters.PerLoop.Add(new LoopCounters
            {
                Loop = loop,
                Nqes = total.NqesFromGuest + total.NqesToGuest,
                BytesSent = total.BytesSent,
                BytesReceived = total.BytesReceived,
                Doorbells = total.DoorbellsRung,
                Open = total.Open,
            });
        }

        counters.Guests.AddRange(guests.Zip(guestSums, Describe));
        counters.Nsms.AddRange(nsms.Zip(nsmSums, Describe));
        AddUsage(counters, caller);
        return counters;
    }

    /// <summary>Cores that an NSM's process used in the last interval.</summary>
    public double CoresOf(string nsm)
    {
        UsageState now = meter.Now();
        return now.Interval <= TimeSpan.Zero ? 0
            : now.Items.Values.Where(one => one.Total.Key.Nsm == nsm).Sum(one => one.Last[Amount.NsmCpu]) / (now.Interval.TotalSeconds * 1e9);
    }

    /// <summary>Packets that an NSM's stack has dropped since its process started, by reason; none of a stack that does not count them.</summary>
    public SortedDictionary<string, ulong> DroppedBy(NsmRecord nsm)
    {
        using MeasuresFile? file = MeasuresFile.TryOpen(platform.Directory.MeasuresPath(nsm.Id));
        return file?.Drops() ?? [];
    }

    // What is not in CoreEngine's counters: processor time and what the stacks measure.
    private void AddUsage(Counters counters, Caller caller)
    {
        UsageState now = meter.Now();
        var byGuest = now.Items.Values.GroupBy(one => (one.Total.Key.Tenant, one.Total.Key.Guest)).ToDictionary(of => of.Key, of => of.ToArray());
        foreach (Api.V1.GuestCounters guest in counters.Guests)
        {
            foreach (UsageNow one in byGuest.GetValueOrDefault((guest.Tenant, guest.Name)) ?? [])
            {
                guest.EngineCpuNanoseconds += (ulong)one.Total.Amounts[Amount.EngineCpu];
                guest.NsmCpuNanoseconds += (ulong)one.Total.Amounts[Amount.NsmCpu];
                guest.Retransmits += (ulong)one.Total.Amounts[Amount.Retransmits];
            }
        }

        if (caller.IsOperator && now.Reading is { } reading)
        {
            counters.EngineCpuNanoseconds = (ulong)reading.Engine.Nanoseconds;
            foreach (Api.V1.NsmCounters nsm in counters.Nsms)
            {
                nsm.CpuNanoseconds = (ulong)(reading.Nsms.GetValueOrDefault(nsm.Id)?.Process.Nanoseconds ?? 0);
            }
        }
    }

    private static double Seconds(ulong now, ulong then) => now > then ? (now - then) / 1e9 : 0;

    private static Api.V1.GuestCounters Describe(GuestRecord guest, GuestCounters c) => new()
    {
        Name = guest.Name,
        Id = guest.Id,
        Tenant = guest.Declared.Tenant,
        NqesFromGuest = c.NqesFromGuest,
        NqesToGuest = c.NqesToGuest,
        BytesSent = c.BytesSent,
        BytesReceived = c.BytesReceived,
        Connects = c.Connects,
        Accepts = c.Accepts,
        Closes = c.Closes,
        Resets = c.Resets,
        Refused = c.Refused,
        Doorbells = c.DoorbellsRung,
        Open = c.Open,
        Parked = c.Parked,
        Processes = c.Processes,
        ConnectsFailed = c.ConnectsFailed,
        Held = c.Paced,
    };

    private static Api.V1.NsmCounters Describe(NsmRecord nsm, NsmCounters c) => new()
    {
        Name = nsm.Name,
        Id = nsm.Id,
        NqesToNsm = c.NqesToNsm,
        NqesFromNsm = c.NqesFromNsm,
        BytesSent = c.BytesSent,
        BytesReceived = c.BytesReceived,
        Open = c.Open,
        Stray = c.Stray,
        Doorbells = c.DoorbellsRung,
    };

    private static void Add(ref GuestCounters sum, in GuestCounters row)
    {
        sum.NqesFromGuest += row.NqesFromGuest;
        sum.NqesToGuest += row.NqesToGuest;
        sum.BytesSent += row.BytesSent;
        sum.BytesReceived += row.BytesReceived;
        sum.Connects += row.Connects;
        sum.Accepts += row.Accepts;
        sum.Closes += row.Closes;
        sum.Resets += row.Resets;
        sum.Refused += row.Refused;
        sum.DoorbellsRung += row.DoorbellsRung;
        sum.Open += row.Open;
        sum.Parked += row.Parked;
        sum.Processes += row.Processes;
        sum.ConnectsFailed += row.ConnectsFailed;
        sum.Paced += row.Paced;
    }

    private static void Add(ref NsmCounters sum, in NsmCounters row)
    {
        sum.NqesToNsm += row.NqesToNsm;
        sum.NqesFromNsm += row.NqesFromNsm;
        sum.BytesSent += row.BytesSent;
        sum.BytesReceived += row.BytesReceived;
        sum.Open += row.Open;
        sum.Stray += row.Stray;
        sum.DoorbellsRung += row.DoorbellsRung;
    }
}
