using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>netkernel.v1.UsageService.</summary>
internal sealed class UsageRpc(UsageQueries queries) : UsageService.UsageServiceBase
{
    private const int Batch = 1000;

    public override Task<GetUsageResponse> GetUsage(GetUsageRequest request, ServerCallContext context) => Task.FromResult(queries.Now(request, AuditLog.Caller));

    public override async Task QueryUsage(QueryUsageRequest request, IServerStreamWriter<QueryUsageResponse> responseStream, ServerCallContext context)
    {
        var (points, from, to, level) = queries.Query(request, AuditLog.Caller);
        foreach (UsagePoint[] batch in points.Count == 0 ? [[]] : points.Chunk(Batch))
        {
            await responseStream.WriteAsync(new QueryUsageResponse
            {
                Points = { batch },
                From = Timestamp.FromDateTimeOffset(from),
                To = Timestamp.FromDateTimeOffset(to),
                ResolutionSeconds = (uint)level.Seconds,
            });
        }
    }
}
