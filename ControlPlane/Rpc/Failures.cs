using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using NetKernel.ControlPlane.Engine;
using NetKernel.ControlPlane.Services;
using NetKernel.ControlPlane.Store;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>Failures as gRPC has them: a status code, one line for a person, and for programs google.rpc details: the field that is wrong, the thing that it is about.</summary>
internal static partial class Failures
{
    public const string Domain = "netkernel";

    public static RpcException ToRpc(Exception failure, string method, ILogger logger)
    {
        switch (failure)
        {
            case RpcException rpc:
                return rpc;
            case ServiceException e:
                return ToRpc(e);
            case EngineException e:
                return ToRpc(new ServiceException(FailureCode.Unavailable, e.Message));
            case CompactedException e:
                return ToRpc(new ServiceException(FailureCode.OutOfRange, e.Message + ": watch without resource_version"));
            default:
                LogInternal(logger, failure, method);
                return ToRpc(new ServiceException(FailureCode.Internal, "internal error in nkd: log/nkd.log has it"));
        }
    }

    private static RpcException ToRpc(ServiceException e)
    {
        StatusCode code = e.Code switch
        {
            FailureCode.InvalidArgument => StatusCode.InvalidArgument,
            FailureCode.NotFound => StatusCode.NotFound,
            FailureCode.AlreadyExists => StatusCode.AlreadyExists,
            FailureCode.PermissionDenied => StatusCode.PermissionDenied,
            FailureCode.FailedPrecondition => StatusCode.FailedPrecondition,
            FailureCode.ResourceExhausted => StatusCode.ResourceExhausted,
            FailureCode.Aborted => StatusCode.Aborted,
            FailureCode.OutOfRange => StatusCode.OutOfRange,
            FailureCode.Unavailable => StatusCode.Unavailable,
            _ => StatusCode.Internal,
        };
        var status = new Google.Rpc.Status { Code = (int)code, Message = e.Message };
        if (e.Field is { } field)
        {
            status.Details.Add(Any.Pack(new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = field, Description = e.Message } } }));
        }

        if (e.About is { } about)
        {
            string[] parts = about.Split('/', 2);
            status.Details.Add(Any.Pack(new ResourceInfo { ResourceType = parts[0], ResourceName = parts[^1], Description = e.Message }));
        }

        if (e.Code == FailureCode.FailedPrecondition)
        {
            status.Details.Add(Any.Pack(new PreconditionFailure
            {
                Violations = { new PreconditionFailure.Types.Violation { Type = "STATE", Subject = e.About ?? "", Description = e.Message } },
            }));
        }

        return status.ToRpcException();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} failed")]
    private static partial void LogInternal(ILogger logger, Exception failure, string method);
}
