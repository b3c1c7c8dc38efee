using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Grpc.Core;

namespace Grpc.Wire;

/// <summary>Length-prefixed messages: a byte "compressed", four bytes length (big-endian), the message (gRPC over HTTP/2, Length-Prefixed-Message).</summary>
internal static class Framing
{
    internal const int PrefixBytes = 5;
    internal const int DefaultMaxMessageBytes = 4 << 20;

    /// <summary>The prefix and the message in one array.</summary>
    internal static byte[] Write<T>(T message, Marshaller<T> marshaller, int? most)
    {
        var context = new Writer();
        marshaller.ContextualSerializer(message, context);
        byte[] frame = context.Frame();
        return most is { } limit && frame.Length - PrefixBytes > limit
            ? throw new RpcException(new Status(StatusCode.ResourceExhausted, $"the message has {frame.Length - PrefixBytes} bytes, at most {limit} may be sent"))
            : frame;
    }

    /// <summary>Reads the next message; false at the end of the stream.</summary>
    internal static async ValueTask<(bool Found, T? Message)> ReadAsync<T>(PipeReader reader, Marshaller<T> marshaller, int? most, CancellationToken cancellation)
        where T : class
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellation).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (result.IsCanceled)
            {
                throw new OperationCanceledException();
            }

            if (TryTake(buffer, most, out ReadOnlySequence<byte> payload))
            {
                T message;
                try
                {
                    message = marshaller.ContextualDeserializer(new Reader(payload));
                }
                catch (Exception e) when (e is Google.Protobuf.InvalidProtocolBufferException or FormatException or IOException)
                {
                    throw new RpcException(new Status(StatusCode.Internal, "the message cannot be read: " + e.Message, e));
                }

                reader.AdvanceTo(payload.End);
                return (true, message);
            }

            if (result.IsCompleted)
            {
                bool clean = buffer.IsEmpty;
                reader.AdvanceTo(buffer.End);
                return clean ? (false, null) : throw new RpcException(new Status(StatusCode.Internal, "the stream ended within a message"));
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    private static bool TryTake(ReadOnlySequence<byte> buffer, int? most, out ReadOnlySequence<byte> payload)
    {
        payload = default;
        if (buffer.Length < PrefixBytes)
        {
            return false;
        }

        Span<byte> prefix = stackalloc byte[PrefixBytes];
        buffer.Slice(0, PrefixBytes).CopyTo(prefix);
        if (prefix[0] != 0)
        {
            throw new RpcException(prefix[0] == 1
                ? new Status(StatusCode.Internal, "the message is compressed, but no grpc-encoding was declared that is understood here")
                : new Status(StatusCode.Internal, $"{prefix[0]} is no compressed-flag"));
        }

        uint length = BinaryPrimitives.ReadUInt32BigEndian(prefix[1..]);
        if (length > (uint)(most ?? int.MaxValue))
        {
            throw new RpcException(new Status(StatusCode.ResourceExhausted, $"the message has {length} bytes, at most {most ?? int.MaxValue} are accepted"));
        }

        if (buffer.Length < PrefixBytes + length)
        {
            return false;
        }

        payload = buffer.Slice(PrefixBytes, length);
        return true;
    }

    private sealed class Reader(ReadOnlySequence<byte> payload) : DeserializationContext
    {
        public override int PayloadLength => (int)payload.Length;

        public override byte[] PayloadAsNewBuffer() => payload.ToArray();

        public override ReadOnlySequence<byte> PayloadAsReadOnlySequence() => payload;
    }

    private sealed class Writer : SerializationContext
    {
        private readonly ArrayBufferWriter<byte> _buffer = new();
        private bool _prefixed;

        public override void SetPayloadLength(int payloadLength) => _ = _buffer.GetSpan(PrefixBytes + payloadLength);

        public override IBufferWriter<byte> GetBufferWriter()
        {
            Prefix();
            return _buffer;
        }

        public override void Complete(byte[] payload)
        {
            Prefix();
            _buffer.Write<byte>(payload);
        }

        public override void Complete()
        {
        }

        internal byte[] Frame()
        {
            Prefix();
            byte[] frame = _buffer.WrittenSpan.ToArray();
            BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), (uint)(frame.Length - PrefixBytes));
            return frame;
        }

        private void Prefix()
        {
            if (!_prefixed)
            {
                _prefixed = true;
                _buffer.Write<byte>([0, 0, 0, 0, 0]);
            }
        }
    }
}
