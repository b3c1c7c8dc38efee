using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>How nkd is to end.</summary>
internal sealed class Ending
{
    /// <summary>Somebody has asked to end everything, not just nkd.</summary>
    public volatile bool Everything;

    /// <summary>And to forget what is declared.</summary>
    public volatile bool Purge;
}

/// <summary>netkernel.v1.PlatformService.</summary>
internal sealed class PlatformRpc(StatService stats, Ending ending, IHostApplicationLifetime life) : PlatformService.PlatformServiceBase
{
    public override Task<PlatformStatus> GetStatus(Empty request, ServerCallContext context) => Task.FromResult(stats.Status(AuditLog.Caller));

    public override Task<Counters> GetCounters(Empty request, ServerCallContext context) => Task.FromResult(stats.Read(AuditLog.Caller));

    public override Task<Empty> Shutdown(ShutdownRequest request, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("ending NetKernel");
        AuditLog.About("platform", "nkd", "");
        ending.Purge |= request.Purge;
        ending.Everything = true;
        life.StopApplication();
        return Task.FromResult(new Empty());
    }
}

/// <summary>netkernel.v1.ConnectionService.</summary>
internal sealed class ConnectionRpc(ConnectionTable table) : ConnectionService.ConnectionServiceBase
{
    private const int Batch = 1000;

    public override async Task ListConnections(ListConnectionsRequest request, IServerStreamWriter<ListConnectionsResponse> responseStream, ServerCallContext context)
    {
        foreach (Connection[] batch in table.Read(request, AuditLog.Caller).Chunk(Batch))
        {
            await responseStream.WriteAsync(new ListConnectionsResponse { Connections = { batch } });
        }
    }
}

/// <summary>netkernel.v1.AuditService.</summary>
internal sealed class AuditRpc(Registry registry) : AuditService.AuditServiceBase
{
    // Filters are applied after reading: a page reads at most so many entries, and may be shorter than asked for.
    private const int MostRead = 10_000;

    public override async Task<ListAuditResponse> ListAudit(ListAuditRequest request, ServerCallContext context)
    {
        Caller caller = AuditLog.Caller;
        int size = request.PageSize is > 0 and <= Paging.Most ? request.PageSize
            : request.PageSize == 0 ? 100 : throw ServiceException.Invalid("page_size", $"a page has 1 to {Paging.Most} items, or 0 for 100");
        string before = request.PageToken.Length == 0 ? AuditCall.KeyOf(999_999_999_999)
            : long.TryParse(request.PageToken, CultureInfo.InvariantCulture, out long number) ? AuditCall.KeyOf(number)
            : throw ServiceException.Invalid("page_token", "this is no page token: take next_page_token of the page before");
        RangeResult read = await registry.Store.RangeAsync(new KeyRange("/audit/", before), MostRead, descending: true);
        var response = new ListAuditResponse();
        long last = 0;
        foreach (KeyValue item in read.Items)
        {
            AuditEntry entry = AuditEntry.Parser.ParseFrom(item.Value);
            bool wanted = caller.Sees(entry.Tenant) && (request.Target.Length == 0 || request.Target == entry.Target)
                && (request.Tenant.Length == 0 || request.Tenant == entry.Tenant);
            if (wanted && response.Entries.Count == size)
            {
                response.NextPageToken = last.ToString(CultureInfo.InvariantCulture);
                return response;
            }

            last = entry.Number;
            if (wanted)
            {
                response.Entries.Add(entry);
            }
        }

        response.NextPageToken = read.More ? last.ToString(CultureInfo.InvariantCulture) : "";
        return response;
    }
}
