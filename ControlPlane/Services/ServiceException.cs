namespace NetKernel.ControlPlane.Services;

/// <summary>What a service call can fail with; gRPC's codes, the ones in use.</summary>
internal enum FailureCode
{
    InvalidArgument,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    FailedPrecondition,
    ResourceExhausted,
    Aborted,
    OutOfRange,
    Unavailable,
    Internal,
}

/// <summary>
/// A failure with one line for a person, which says what to do; for programs the field of the request that is wrong ("guest.ipv4"), or the thing that it is about
/// ("guest/web").
/// </summary>
internal sealed class ServiceException(FailureCode code, string message, string? field = null, string? about = null) : Exception(message)
{
    public FailureCode Code { get; } = code;

    public string? Field { get; } = field;

    public string? About { get; } = about;

    public static ServiceException Invalid(string field, string message) => new(FailureCode.InvalidArgument, message, field);
}
