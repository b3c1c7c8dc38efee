namespace NetKernel.ControlPlane.Services;

/// <summary>What a service call can fail with; gRPC's codes, the ones in use.</summary>
internal enum FailureCode
{
    InvalidArgument,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
    Internal,
}

/// <summary>A failure with one line for a person, which says what to do.</summary>
internal sealed class ServiceException(FailureCode code, string message) : Exception(message)
{
    public FailureCode Code { get; } = code;
}
