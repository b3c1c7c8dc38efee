using NetKernel.ControlPlane.Api;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Transport;

/// <summary>The services over HTTP and JSON, on the Unix socket. Nothing but translation: gRPC takes this file's place.</summary>
internal static partial class HttpApi
{
    public static void Map(WebApplication app)
    {
        app.Use(async (context, next) =>
        {
            try
            {
                await next(context);
            }
            catch (Exception failure) when (!context.Response.HasStarted)
            {
                await AnswerFailureAsync(context, failure, app.Logger);
            }
        });
        app.MapGet("/healthz", () => "ok\n");
        RouteGroupBuilder v1 = app.MapGroup("/v1");
        v1.MapGet("/status", (StatService stats) => stats.Status());
        v1.MapPost("/shutdown", (IHostApplicationLifetime life) => life.StopApplication());
        v1.MapGet("/stats", (StatService stats) => stats.Read());
        v1.MapGet("/connections", (StatService stats, string? guest) => stats.Connections(guest).ToArray());

        v1.MapGet("/guests", (GuestService guests, bool? processes) => guests.List(processes ?? false).ToArray());
        v1.MapGet("/guests/{name}", (GuestService guests, string name, bool? processes) => guests.Get(name, processes ?? false));
        v1.MapPost("/guests/{name}", (GuestService guests, string name, GuestSpec spec) => guests.CreateAsync(name, spec, mustBeNew: true));
        v1.MapPut("/guests/{name}", (GuestService guests, string name, GuestSpec spec) => guests.CreateAsync(name, spec, mustBeNew: false));
        v1.MapDelete("/guests/{name}", (GuestService guests, string name, bool? force) => guests.DeleteAsync(name, force ?? false));

        v1.MapGet("/nsms", (NsmService nsms) => nsms.List().ToArray());
        v1.MapGet("/nsms/{name}", (NsmService nsms, string name) => nsms.Get(name));
        v1.MapPost("/nsms/{name}", (NsmService nsms, string name, NsmSpec spec) => nsms.CreateAsync(name, spec));
        v1.MapDelete("/nsms/{name}", (NsmService nsms, string name) => nsms.DeleteAsync(name));
    }

    private static async Task AnswerFailureAsync(HttpContext context, Exception failure, ILogger logger)
    {
        (FailureCode code, string message) = failure switch
        {
            ServiceException e => (e.Code, e.Message),
            EngineException e => (FailureCode.Unavailable, e.Message),
            BadHttpRequestException e => (FailureCode.InvalidArgument, e.Message),
            _ => (FailureCode.Internal, "internal error in nkd: log/nkd.log has it"),
        };
        if (code == FailureCode.Internal)
        {
            LogInternal(logger, failure, context.Request.Method, context.Request.Path);
        }

        context.Response.StatusCode = code switch
        {
            FailureCode.InvalidArgument => StatusCodes.Status400BadRequest,
            FailureCode.NotFound => StatusCodes.Status404NotFound,
            FailureCode.AlreadyExists => StatusCodes.Status409Conflict,
            FailureCode.FailedPrecondition => StatusCodes.Status412PreconditionFailed,
            FailureCode.ResourceExhausted => StatusCodes.Status429TooManyRequests,
            FailureCode.Unavailable => StatusCodes.Status503ServiceUnavailable,
            _ => StatusCodes.Status500InternalServerError,
        };
        await context.Response.WriteAsJsonAsync(new ErrorInfo(code.ToString(), message), ContractJson.Default.ErrorInfo);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed")]
    private static partial void LogInternal(ILogger logger, Exception failure, string method, string path);
}
