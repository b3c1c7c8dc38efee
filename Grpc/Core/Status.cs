namespace Grpc.Core;

/// <summary>How a call ended (gRPC status codes).</summary>
public enum StatusCode
{
    /// <summary>Success.</summary>
    OK = 0,

    /// <summary>The caller gave up.</summary>
    Cancelled = 1,

    /// <summary>An error without a better code.</summary>
    Unknown = 2,

    /// <summary>The request itself is wrong, whatever the state of the system.</summary>
    InvalidArgument = 3,

    /// <summary>The time was up.</summary>
    DeadlineExceeded = 4,

    /// <summary>There is no such thing.</summary>
    NotFound = 5,

    /// <summary>It exists already.</summary>
    AlreadyExists = 6,

    /// <summary>The caller may not.</summary>
    PermissionDenied = 7,

    /// <summary>A quota or a limit is used up.</summary>
    ResourceExhausted = 8,

    /// <summary>The system is not in the state that this needs.</summary>
    FailedPrecondition = 9,

    /// <summary>Somebody else changed it meanwhile.</summary>
    Aborted = 10,

    /// <summary>Beyond the end.</summary>
    OutOfRange = 11,

    /// <summary>There is no such method.</summary>
    Unimplemented = 12,

    /// <summary>A broken invariant.</summary>
    Internal = 13,

    /// <summary>Nobody answers at the moment.</summary>
    Unavailable = 14,

    /// <summary>Data is lost.</summary>
    DataLoss = 15,

    /// <summary>The caller is not known.</summary>
    Unauthenticated = 16,
}

/// <summary>A code and what a person can read.</summary>
public struct Status : IEquatable<Status>
{
    /// <summary>Success.</summary>
    public static readonly Status DefaultSuccess = new(StatusCode.OK, "");

    /// <summary>Cancelled, without more to say.</summary>
    public static readonly Status DefaultCancelled = new(StatusCode.Cancelled, "");

    /// <summary>A code with its explanation.</summary>
    public Status(StatusCode statusCode, string detail)
        : this(statusCode, detail, null)
    {
    }

    /// <summary>A code with its explanation and what caused it here.</summary>
    public Status(StatusCode statusCode, string detail, Exception? debugException)
    {
        StatusCode = statusCode;
        Detail = detail;
        DebugException = debugException;
    }

    /// <summary>The code.</summary>
    public StatusCode StatusCode { get; }

    /// <summary>For a person.</summary>
    public string Detail { get; }

    /// <summary>What caused it on this side; never sent.</summary>
    public Exception? DebugException { get; }

    /// <summary>Same code and explanation.</summary>
    public static bool operator ==(Status left, Status right) => left.Equals(right);

    /// <summary>Other code or explanation.</summary>
    public static bool operator !=(Status left, Status right) => !left.Equals(right);

    /// <inheritdoc/>
    public readonly bool Equals(Status other) => StatusCode == other.StatusCode && Detail == other.Detail;

    /// <inheritdoc/>
    public override readonly bool Equals(object? obj) => obj is Status other && Equals(other);

    /// <inheritdoc/>
    public override readonly int GetHashCode() => HashCode.Combine(StatusCode, Detail);

    /// <inheritdoc/>
    public override readonly string ToString() => $"Status(StatusCode=\"{StatusCode}\", Detail=\"{Detail}\")";
}

/// <summary>A call that did not succeed; a handler throws it to end its call with a status.</summary>
public sealed class RpcException : Exception
{
    /// <summary>With a status.</summary>
    public RpcException(Status status)
        : this(status, Metadata.Empty, status.ToString())
    {
    }

    /// <summary>With a status and the exception's own message.</summary>
    public RpcException(Status status, string message)
        : this(status, Metadata.Empty, message)
    {
    }

    /// <summary>With a status and trailers.</summary>
    public RpcException(Status status, Metadata trailers)
        : this(status, trailers, status.ToString())
    {
    }

    /// <summary>With everything.</summary>
    public RpcException(Status status, Metadata trailers, string message)
        : base(message, status.DebugException)
    {
        Status = status;
        Trailers = trailers ?? throw new ArgumentNullException(nameof(trailers));
    }

    /// <summary>How the call ended.</summary>
    public Status Status { get; }

    /// <summary>Its code.</summary>
    public StatusCode StatusCode => Status.StatusCode;

    /// <summary>What was sent after the last message.</summary>
    public Metadata Trailers { get; }
}
