using System.Buffers;

namespace Grpc.Core;

/// <summary>Which side sends one message and which a stream.</summary>
public enum MethodType
{
    /// <summary>One message each way.</summary>
    Unary,

    /// <summary>A stream of requests, one response.</summary>
    ClientStreaming,

    /// <summary>One request, a stream of responses.</summary>
    ServerStreaming,

    /// <summary>A stream each way.</summary>
    DuplexStreaming,
}

/// <summary>What is known of a method whatever its messages are.</summary>
public interface IMethod
{
    /// <summary>Which side streams.</summary>
    MethodType Type { get; }

    /// <summary>package.Service.</summary>
    string ServiceName { get; }

    /// <summary>The method's own name.</summary>
    string Name { get; }

    /// <summary>/package.Service/Method: the HTTP/2 path.</summary>
    string FullName { get; }
}

/// <summary>A method and how its messages are written.</summary>
public sealed class Method<TRequest, TResponse>(
    MethodType type, string serviceName, string name, Marshaller<TRequest> requestMarshaller, Marshaller<TResponse> responseMarshaller) : IMethod
{
    /// <inheritdoc/>
    public MethodType Type { get; } = type;

    /// <inheritdoc/>
    public string ServiceName { get; } = serviceName ?? throw new ArgumentNullException(nameof(serviceName));

    /// <inheritdoc/>
    public string Name { get; } = name ?? throw new ArgumentNullException(nameof(name));

    /// <summary>Writes and reads requests.</summary>
    public Marshaller<TRequest> RequestMarshaller { get; } = requestMarshaller ?? throw new ArgumentNullException(nameof(requestMarshaller));

    /// <summary>Writes and reads responses.</summary>
    public Marshaller<TResponse> ResponseMarshaller { get; } = responseMarshaller ?? throw new ArgumentNullException(nameof(responseMarshaller));

    /// <inheritdoc/>
    public string FullName { get; } = "/" + serviceName + "/" + name;
}

/// <summary>Where a message is written to.</summary>
public abstract class SerializationContext
{
    /// <summary>The whole message at once.</summary>
    public virtual void Complete(byte[] payload) => throw new NotSupportedException();

    /// <summary>A writer for the message; then <see cref="Complete()"/>.</summary>
    public virtual IBufferWriter<byte> GetBufferWriter() => throw new NotSupportedException();

    /// <summary>The message's length, before it is written.</summary>
    public virtual void SetPayloadLength(int payloadLength)
    {
    }

    /// <summary>The writer has it all.</summary>
    public virtual void Complete() => throw new NotSupportedException();
}

/// <summary>Where a message is read from.</summary>
public abstract class DeserializationContext
{
    /// <summary>Bytes of the message.</summary>
    public abstract int PayloadLength { get; }

    /// <summary>A copy of the message.</summary>
    public abstract byte[] PayloadAsNewBuffer();

    /// <summary>The message in place, valid until the deserializer returns.</summary>
    public virtual ReadOnlySequence<byte> PayloadAsReadOnlySequence() => new(PayloadAsNewBuffer());
}

/// <summary>How a message type is written and read.</summary>
public sealed class Marshaller<T>
{
    /// <summary>By arrays.</summary>
    public Marshaller(Func<T, byte[]> serializer, Func<byte[], T> deserializer)
        : this((value, context) => context.Complete(serializer(value)), context => deserializer(context.PayloadAsNewBuffer()))
    {
    }

    /// <summary>By contexts, which spare copies.</summary>
    public Marshaller(Action<T, SerializationContext> serializer, Func<DeserializationContext, T> deserializer)
    {
        ContextualSerializer = serializer ?? throw new ArgumentNullException(nameof(serializer));
        ContextualDeserializer = deserializer ?? throw new ArgumentNullException(nameof(deserializer));
    }

    /// <summary>Writes.</summary>
    public Action<T, SerializationContext> ContextualSerializer { get; }

    /// <summary>Reads.</summary>
    public Func<DeserializationContext, T> ContextualDeserializer { get; }
}

/// <summary>Makes marshallers.</summary>
public static class Marshallers
{
    /// <summary>Text, as UTF-8.</summary>
    public static Marshaller<string> StringMarshaller { get; } = Create(System.Text.Encoding.UTF8.GetBytes, System.Text.Encoding.UTF8.GetString);

    /// <summary>By arrays.</summary>
    public static Marshaller<T> Create<T>(Func<T, byte[]> serializer, Func<byte[], T> deserializer) => new(serializer, deserializer);

    /// <summary>By contexts.</summary>
    public static Marshaller<T> Create<T>(Action<T, SerializationContext> serializer, Func<DeserializationContext, T> deserializer) => new(serializer, deserializer);
}
