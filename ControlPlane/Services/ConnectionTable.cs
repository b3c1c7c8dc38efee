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

namespace NetKernel.ControlPlane.Services;

/// <summary>The connection table, out of CoreEngine's counter file, with names put to the ids and with what the stacks measure. Costs the data plane nothing.</summary>
internal sealed class ConnectionTable(Platform platform, Registry registry)
{
    private readonly EngineStats _stats = new(platform.Directory.EngineStats);

    /// <summary>What of it is asked for, as far as a caller may see it; fails when there is no engine.</summary>
    public List<Connection> Read(ListConnectionsRequest request, Caller caller)
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
                    Form = FormOf(in row, nsm),
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

    // A datagram socket is its own NSM's, and may be used by shared memory beside that.
    private static string FormOf(in ConnectionRow row, string nsm) =>
        row.Direct == ConnectionForm.Near ? SharedMemoryRules.Copy
        : nsm != SharedMemory.Name || row.PeerPort == 0 ? "" : row.Direct == ConnectionForm.Direct ? SharedMemoryRules.Direct : SharedMemoryRules.Copy;
}
