using System.Buffers.Binary;
using System.Globalization;
using System.Net;
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

/// <summary>Counters and the connection table, out of CoreEngine's counter file, with names put to the ids. Costs the data plane nothing.</summary>
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

    /// <summary>The connection table, as far as a caller may see it.</summary>
    public List<Connection> Connections(ListConnectionsRequest request, Caller caller)
    {
        Snapshot state = SharedMemory.Among(registry.Now);
        uint? only = request.Guest.Length == 0 ? null
            : state.Guests.GetValueOrDefault(request.Guest) is { } wanted && caller.Sees(wanted.Declared.Tenant) ? wanted.Id
            : throw new ServiceException(FailureCode.NotFound, $"there is no guest {request.Guest}: `nk guest list` shows all", "guest", "guest/" + request.Guest);
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            throw new ServiceException(FailureCode.Unavailable, "there is no connection table: CoreEngine is being started; try again in a moment");
        }

        Dictionary<uint, string> nsms = state.Nsms.Values.ToDictionary(nsm => nsm.Id, nsm => nsm.Name);
        ulong now = Libc.Now;
        var paths = new Dictionary<(uint Nsm, uint Loop, uint Id), ConnectionReport>();
        if (request.Paths)
        {
            foreach ((uint id, string name) in nsms.Where(nsm => request.Nsm.Length == 0 || request.Nsm == nsm.Value))
            {
                foreach (ConnectionReport report in NsmReports.Of(platform.Directory.Root, id))
                {
                    paths[(id, report.Loop, report.Id)] = report;
                }
            }
        }

        var found = new List<Connection>();
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            ConnectionRow[] rows = EngineStats.Rows<ConnectionRow>(file, header.ConnectionOf(loop, 0), header.Connections);
            for (uint id = 0; id < rows.Length; id++)
            {
                ref readonly ConnectionRow row = ref rows[id];
                if (row.State == ConnectionState.Free || (only is { } one && row.Guest != one))
                {
                    continue;
                }

                Guest? guest = state.GuestIds.GetValueOrDefault(row.Guest)?.Declared;
                string nsm = nsms.GetValueOrDefault(row.Nsm, Number(row.Nsm));
                if (!caller.Sees(guest?.Tenant ?? "") || (request.Tenant.Length > 0 && guest?.Tenant != request.Tenant) || (request.Nsm.Length > 0 && nsm != request.Nsm))
                {
                    continue;
                }

                found.Add(new Connection
                {
                    Guest = guest?.Name ?? Number(row.Guest),
                    Tenant = guest?.Tenant ?? "",
                    Local = Endpoint(row.LocalLow, row.LocalHigh, row.LocalPort, row.Domain),
                    Peer = row.PeerPort == 0 ? "-" : Endpoint(row.PeerLow, row.PeerHigh, row.PeerPort, row.Domain),
                    Protocol = row.Type == (uint)Libc.SOCK_DGRAM ? "udp" : "tcp",
                    State = StateName(row.State),
                    Nsm = nsm,
                    Form = nsm != SharedMemory.Name || row.PeerPort == 0 ? "" : row.Direct != 0 ? SharedMemoryRules.Direct : SharedMemoryRules.Copy,
                    BytesSent = row.BytesSent,
                    BytesReceived = row.BytesReceived,
                    SendQueue = row.SendQueue,
                    ReceiveQueue = row.ReceiveQueue,
                    Nqes = row.Nqes,
                    Loop = loop,
                    Id = id,
                    Socket = row.GuestSocket,
                    AgeSeconds = Seconds(now, row.Opened),
                    Path = paths.TryGetValue((row.Nsm, loop, id), out ConnectionReport report) && report.Guest == row.Guest ? Describe(in report) : null,
                });
            }
        }

        return found;
    }

    internal static string StateName(uint state) => state switch
    {
        ConnectionState.Open => "open",
        ConnectionState.Listen => "listen",
        ConnectionState.Connecting => "connecting",
        ConnectionState.Established => "established",
        ConnectionState.CloseWait => "close-wait",
        ConnectionState.Closing => "closing",
        ConnectionState.Reset => "reset",
        _ => Number(state),
    };

    /// <summary>As ss prints it: 198.18.1.1:80, [2001:2::1]:80, and 0.0.0.0 for an IPv4 wildcard.</summary>
    internal static string Endpoint(ulong low, ulong high, ushort port, ushort domain)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, low);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], high);
        var address = new IPAddress(bytes);
        return address.IsIPv4MappedToIPv6 ? $"{address.MapToIPv4()}:{Number(port)}"
            : domain == Libc.AF_INET && low == 0 && high == 0 ? $"0.0.0.0:{Number(port)}"
            : $"[{address}]:{Number(port)}";
    }

    private static unsafe PathMeasures Describe(in ConnectionReport report)
    {
        const uint NeverSet = int.MaxValue;
        ConnectionReport copy = report;
        return new PathMeasures
        {
            CongestionControl = SeqPacket.Get(new ReadOnlySpan<byte>(copy.Congestion, ConnectionReport.NameBytes)),
            Cwnd = report.Cwnd,
            Ssthresh = report.Ssthresh >= NeverSet ? 0 : report.Ssthresh,
            RttMicroseconds = report.Rtt,
            RttVariationMicroseconds = report.RttVar,
            RtoMicroseconds = report.Rto,
            Retransmits = report.Retransmits,
            Mss = report.Mss,
            DeliveryRate = report.DeliveryRate,
        };
    }

    private static string Number(uint number) => number.ToString(CultureInfo.InvariantCulture);

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
