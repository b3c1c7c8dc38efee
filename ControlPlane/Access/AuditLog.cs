using System.Diagnostics;
using Grpc.Core;
using Grpc.Core.Interceptors;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Metrics;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Rpc;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Access;

/// <summary>
/// Around every call: finds out who calls, turns failures into gRPC's with details, and keeps an entry of each call that changes something, in the store.
/// </summary>
internal sealed class AuditLog(Registry registry, Callers callers, Instruments instruments, ILogger<AuditLog> logger) : Interceptor
{
    private const int MaxRequest = 2000;

    private static readonly string[] Changing = ["Create", "Update", "Delete", "Apply", "Shutdown", "Capture"];

    private static readonly AsyncLocal<Caller?> Calling = new();

    private long _number = -1;

    /// <summary>Who makes the call that is being served.</summary>
    public static Caller Caller => Calling.Value ?? throw new InvalidOperationException("no call is being served");

    /// <summary>Finds the number of the last entry.</summary>
    public async Task LoadAsync()
    {
        RangeResult last = await registry.Store.RangeAsync(KeyRange.Prefix("/audit/"), limit: 1, descending: true);
        _number = last.Items.Count == 0 ? 0 : AuditEntry.Parser.ParseFrom(last.Items[0].Value).Number;
    }

    /// <summary>A target for the entry: "guest/web".</summary>
    public static void About(string kind, string name, string tenant)
    {
        if (AuditCall.Current is { } call)
        {
            call.Entry.Target = $"{kind}/{name}";
            call.Entry.Tenant = tenant;
        }
    }

    /// <inheritdoc/>
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        TResponse? response = null;
        await MeasureAsync(context, () => AroundAsync(request, context, async () => response = await continuation(request, context)));
        return response!;
    }

    /// <inheritdoc/>
    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        MeasureAsync(context, () => AroundAsync(request, context, () => continuation(request, responseStream, context)));

    // A span and a time for each call. Names of methods and codes only: who called, and with what, is in the audit log.
    private async Task MeasureAsync(ServerCallContext context, Func<Task> call)
    {
        string method = context.Method.TrimStart('/');
        string? parent = context.RequestHeaders.GetValue("traceparent");
        _ = ActivityContext.TryParse(parent, context.RequestHeaders.GetValue("tracestate"), isRemote: true, out ActivityContext from);
        Activity.Current = null; // ASP.NET's own, which nobody records: a span below it would not be recorded either
        using Activity? span = Telemetry.Calls.StartActivity(method, ActivityKind.Server, from);
        long began = Stopwatch.GetTimestamp();
        StatusCode code = StatusCode.OK;
        try
        {
            await call();
        }
        catch (Exception e)
        {
            code = (e as RpcException)?.StatusCode ?? (e is OperationCanceledException ? StatusCode.Cancelled : StatusCode.Unknown);
            throw;
        }
        finally
        {
            int cut = method.IndexOf('/', StringComparison.Ordinal);
            span?.SetTag("rpc.system", "grpc").SetTag("rpc.service", method[..Math.Max(0, cut)]).SetTag("rpc.method", method[(cut + 1)..]).SetTag("rpc.grpc.status_code", (int)code);
            span?.SetStatus(code == StatusCode.OK ? ActivityStatusCode.Unset : ActivityStatusCode.Error);
            instruments.Called(method[(method.LastIndexOf('.') + 1)..], code.ToString(), Stopwatch.GetElapsedTime(began));
        }
    }

    private async Task AroundAsync(object request, ServerCallContext context, Func<Task> body)
    {
        AuditCall.Current = null;
        try
        {
            // Health and reflection tell nothing that is anybody's.
            if (!context.Method.StartsWith("/netkernel.", StringComparison.Ordinal))
            {
                await body();
                return;
            }

            Calling.Value = callers.Of(context);
            string method = context.Method[(context.Method.LastIndexOf('.') + 1)..];
            string verb = method[(method.IndexOf('/') + 1)..];
            if (Changing.Any(one => verb.StartsWith(one, StringComparison.Ordinal)) && !IsTrial(request))
            {
                AuditCall.Current = new AuditCall(Interlocked.Increment(ref _number), new AuditEntry
                {
                    Caller = Caller.Description,
                    Tenant = Caller.Tenant ?? "",
                    Method = method,
                    Request = Shown(request),
                });
            }

            await body();
            if (AuditCall.Current is { Written: false } unwritten)
            {
                await WriteAsync(unwritten, "OK");
            }
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            RpcException failure = Failures.ToRpc(e, context.Method, logger);
            if (AuditCall.Current is { } call)
            {
                await WriteAsync(call, $"{failure.StatusCode}: {failure.Status.Detail}");
            }

            throw failure;
        }
    }

    private static bool IsTrial(object request) => request switch
    {
        CreateGuestRequest r => r.ValidateOnly,
        UpdateGuestRequest r => r.ValidateOnly,
        CreateNsmRequest r => r.ValidateOnly,
        UpdateNsmRequest r => r.ValidateOnly,
        CreateTenantRequest r => r.ValidateOnly,
        UpdateTenantRequest r => r.ValidateOnly,
        CreatePolicyRequest r => r.ValidateOnly,
        UpdatePolicyRequest r => r.ValidateOnly,
        ApplyRequest r => r.DryRun,
        _ => false,
    };

    // Nothing in the API is a secret; should a message get one, it is to be cleared here.
    private static string Shown(object request)
    {
        string text = request is Google.Protobuf.IMessage message ? ProtoJson.Text(message, indented: false) : "";
        return text.Length > MaxRequest ? text[..MaxRequest] : text;
    }

    private async Task WriteAsync(AuditCall call, string result)
    {
        _ = await registry.Store.CommitAsync(new Transaction([], [.. call.Writes(result)]));
        call.WasWritten();
    }
}
