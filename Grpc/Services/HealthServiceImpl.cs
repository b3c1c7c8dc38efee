using System.Threading.Channels;
using Grpc.Core;
using Grpc.Health.V1;

namespace Grpc.HealthCheck;

/// <summary>grpc.health.v1: what serves and what does not, as the program sets it.</summary>
public sealed class HealthServiceImpl : Health.V1.Health.HealthBase
{
    private readonly Lock _sync = new();
    private readonly Dictionary<string, HealthCheckResponse.Types.ServingStatus> _statuses = [];
    private readonly Dictionary<string, HashSet<Channel<HealthCheckResponse.Types.ServingStatus>>> _watchers = [];

    /// <summary>Sets the status of a service; "" stands for the whole server.</summary>
    public void SetStatus(string service, HealthCheckResponse.Types.ServingStatus status)
    {
        lock (_sync)
        {
            if (_statuses.TryGetValue(service, out var before) && before == status)
            {
                return;
            }

            _statuses[service] = status;
            foreach (Channel<HealthCheckResponse.Types.ServingStatus> watcher in _watchers.GetValueOrDefault(service) ?? [])
            {
                _ = watcher.Writer.TryWrite(status);
            }
        }
    }

    /// <inheritdoc/>
    public override Task<HealthCheckResponse> Check(HealthCheckRequest request, ServerCallContext context)
    {
        lock (_sync)
        {
            return _statuses.TryGetValue(request.Service, out var status)
                ? Task.FromResult(new HealthCheckResponse { Status = status })
                : throw new RpcException(new Core.Status(StatusCode.NotFound, $"no service '{request.Service}'"));
        }
    }

    /// <inheritdoc/>
    public override async Task Watch(HealthCheckRequest request, IServerStreamWriter<HealthCheckResponse> responseStream, ServerCallContext context)
    {
        // Only the newest matters to somebody who reads slowly.
        var changes = Channel.CreateBounded<HealthCheckResponse.Types.ServingStatus>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        lock (_sync)
        {
            if (!_watchers.TryGetValue(request.Service, out var set))
            {
                _watchers[request.Service] = set = [];
            }

            _ = set.Add(changes);
            _ = changes.Writer.TryWrite(_statuses.GetValueOrDefault(request.Service, HealthCheckResponse.Types.ServingStatus.ServiceUnknown));
        }

        try
        {
            await foreach (HealthCheckResponse.Types.ServingStatus status in changes.Reader.ReadAllAsync(context.CancellationToken).ConfigureAwait(false))
            {
                await responseStream.WriteAsync(new HealthCheckResponse { Status = status }).ConfigureAwait(false);
            }
        }
        finally
        {
            lock (_sync)
            {
                if (_watchers.TryGetValue(request.Service, out var set) && set.Remove(changes) && set.Count == 0)
                {
                    _ = _watchers.Remove(request.Service);
                }
            }
        }
    }
}
