using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Grpc.Core;

/// <summary>Errors with details: google.rpc.Status in the trailer grpc-status-details-bin.</summary>
public static class RpcExceptionExtensions
{
    private const string Trailer = "grpc-status-details-bin";

    /// <summary>The details that came with an error, or null.</summary>
    public static Google.Rpc.Status? GetRpcStatus(this RpcException exception)
    {
        try
        {
            return exception.Trailers.GetValueBytes(Trailer) is { } bytes ? Google.Rpc.Status.Parser.ParseFrom(bytes) : null;
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }

    /// <summary>The error that a handler throws for a status with details.</summary>
    public static RpcException ToRpcException(this Google.Rpc.Status status) =>
        new(new Status((StatusCode)status.Code, status.Message), new Metadata { { Trailer, status.ToByteArray() } });

    /// <summary>The first detail of a kind, or null.</summary>
    public static T? GetDetail<T>(this Google.Rpc.Status status)
        where T : class, IMessage<T>, new() => status.Details.FirstOrDefault(any => any.Is(new T().Descriptor))?.Unpack<T>();
}
