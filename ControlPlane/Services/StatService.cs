using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using Microsoft.Win32.SafeHandles;
using NetKernel.Channel;
using NetKernel.Channel.Host;
using NetKernel.ControlPlane.Api;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.State;

namespace NetKernel.ControlPlane.Services;

/// <summary>Counters and the connection table, out of CoreEngine's counter file, with names put to the ids. Costs the data plane nothing.</summary>
internal sealed class StatService(Platform platform)
{
    private readonly EngineStats _stats = new(platform.Directory.EngineStats);

    public StatusInfo Status() => new(
        typeof(StatService).Assembly.GetName().Version?.ToString(3) ?? "0", platform.Options.Instance, platform.Network.Mode, platform.Directory.Root,
        Environment.ProcessId, platform.EngineUp ? "ready" : "starting", platform.EngineProcess?.Pid ?? 0, platform.EngineProcess?.Restarts ?? 0,
        platform.Options.Loops, platform.State.Guests.Count, platform.State.Nsms.Count, platform.Uptime.TotalSeconds, platform.Options.Library,
        platform.Network.Notice);

    /// <summary>All counters; fails when there is no engine.</summary>
    public StatInfo Read() =>
        TryRead() ?? throw new ServiceException(FailureCode.Unavailable, "there are no counters: CoreEngine is being started; try again in a moment");

    /// <summary>All counters, or null when there is no engine.</summary>
    public StatInfo? TryRead()
    {
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            return null;
        }

        PlatformState state = SharedMemory.Among(platform.State);
        var guests = new GuestCounters[state.Guests.Count];
        var nsms = new NsmCounters[state.Nsms.Count];
        var loops = new LoopStat[header.Loops];
        uint guestRows = Math.Min(header.Guests, 1 + state.Guests.Select(guest => guest.Id).DefaultIfEmpty().Max());
        uint nsmRows = Math.Min(header.Nsms, 1 + state.Nsms.Select(nsm => nsm.Id).DefaultIfEmpty().Max());
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            GuestCounters total = default;
            GuestCounters[] rows = EngineStats.Rows<GuestCounters>(file, header.GuestOf(loop, 0), guestRows);
            for (int i = 0; i < guests.Length; i++)
            {
                if (state.Guests[i].Id < guestRows)
                {
                    Add(ref guests[i], rows[state.Guests[i].Id]);
                    Add(ref total, rows[state.Guests[i].Id]);
                }
            }

            NsmCounters[] nsmCounters = EngineStats.Rows<NsmCounters>(file, header.NsmOf(loop, 0), nsmRows);
            for (int i = 0; i < nsms.Length; i++)
            {
                if (state.Nsms[i].Id < nsmRows)
                {
                    Add(ref nsms[i], nsmCounters[state.Nsms[i].Id]);
                }
            }

            loops[loop] = new LoopStat(loop, total.NqesFromGuest + total.NqesToGuest, total.BytesSent, total.BytesReceived, total.DoorbellsRung, total.Open);
        }

        ulong now = Libc.Now;
        return new StatInfo(
            now, (int)header.Pid, header.Loops, Seconds(now, header.Heartbeat), Seconds(now, header.Started), loops,
            [.. state.Guests.Zip(guests, Describe)], [.. state.Nsms.Zip(nsms, Describe)]);
    }

    /// <summary>The connection table, of one guest or of all.</summary>
    public IReadOnlyList<ConnectionEntry> Connections(string? guest)
    {
        PlatformState state = SharedMemory.Among(platform.State);
        uint? only = guest is null ? null
            : state.Guests.Find(other => other.Name == guest)?.Id
              ?? throw new ServiceException(FailureCode.NotFound, $"there is no guest {guest}: `nk guest list` shows all");
        using SafeFileHandle? file = _stats.Open();
        if (file is null || EngineStats.Header(file) is not { } header)
        {
            throw new ServiceException(FailureCode.Unavailable, "there is no connection table: CoreEngine is being started; try again in a moment");
        }

        Dictionary<uint, string> guests = state.Guests.ToDictionary(other => other.Id, other => other.Name);
        Dictionary<uint, string> nsms = state.Nsms.ToDictionary(nsm => nsm.Id, nsm => nsm.Name);
        ulong now = Libc.Now;
        var found = new List<ConnectionEntry>();
        for (uint loop = 0; loop < header.Loops; loop++)
        {
            ConnectionRow[] rows = EngineStats.Rows<ConnectionRow>(file, header.ConnectionOf(loop, 0), header.Connections);
            for (uint id = 0; id < rows.Length; id++)
            {
                ref readonly ConnectionRow row = ref rows[id];
                if (row.State == ConnectionState.Free || (only is { } wanted && row.Guest != wanted))
                {
                    continue;
                }

                found.Add(new ConnectionEntry(
                    guests.GetValueOrDefault(row.Guest, Number(row.Guest)), Endpoint(row.LocalLow, row.LocalHigh, row.LocalPort, row.Domain),
                    row.PeerPort == 0 ? "-" : Endpoint(row.PeerLow, row.PeerHigh, row.PeerPort, row.Domain), StateName(row.State),
                    nsms.GetValueOrDefault(row.Nsm, Number(row.Nsm)), row.BytesSent, row.BytesReceived, row.SendQueue, row.ReceiveQueue, row.Nqes,
                    loop, id, row.GuestSocket, Seconds(now, row.Opened)));
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

    private static string Number(uint number) => number.ToString(CultureInfo.InvariantCulture);

    private static double Seconds(ulong now, ulong then) => now > then ? (now - then) / 1e9 : 0;

    private static GuestStat Describe(GuestRecord guest, GuestCounters c) => new(
        guest.Name, guest.Id, c.NqesFromGuest, c.NqesToGuest, c.BytesSent, c.BytesReceived, c.Connects, c.Accepts, c.Closes, c.Resets, c.Refused,
        c.DoorbellsRung, c.Open, c.Parked, c.Processes);

    private static NsmStat Describe(NsmRecord nsm, NsmCounters c) =>
        new(nsm.Name, nsm.Id, c.NqesToNsm, c.NqesFromNsm, c.BytesSent, c.BytesReceived, c.Open, c.Stray, c.DoorbellsRung);

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
