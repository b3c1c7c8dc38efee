using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;

namespace NetKernel.Grpc.Tests;

/// <summary>The service of probe.proto.</summary>
public sealed class ProbeService : Probe.ProbeBase
{
    /// <summary>Cancellations that handlers have seen.</summary>
    public TaskCompletionSource Cancelled { get; private set; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Notes that Count has written, of all calls; and the end of one whose client has gone or was given up.</summary>
    public int Counted;
    public TaskCompletionSource CountEnded { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public override async Task<Note> Unary(Note request, ServerCallContext context)
    {
        string[] words = request.Text.Split(' ', 3);
        switch (words[0])
        {
            case "fail":
                throw new RpcException(new global::Grpc.Core.Status(System.Enum.Parse<StatusCode>(words[1]), words[2]));
            case "throw":
                throw new InvalidOperationException("secret");
            case "details":
                var status = new global::Google.Rpc.Status { Code = (int)StatusCode.InvalidArgument, Message = "wrong field" };
                status.Details.Add(Any.Pack(new BadRequest { FieldViolations = { new BadRequest.Types.FieldViolation { Field = "text", Description = "not that" } } }));
                throw status.ToRpcException();
            case "sleep":
                try
                {
                    await Task.Delay(Timeout.Infinite, context.CancellationToken);
                }
                catch (OperationCanceledException)
                {
                    Cancelled.TrySetResult();
                    throw;
                }

                break;
            case "deaf":
                await Cancelled.Task;
                break;
            case "peer":
                return new Note { Text = context.Peer + " " + context.Host + " " + context.Method };
            case "big":
                return new Note { Data = ByteString.CopyFrom(new byte[request.Number]) };
            case "metadata":
                string text = context.RequestHeaders.GetValue("x-text") ?? "none";
                byte[] bytes = context.RequestHeaders.GetValueBytes("x-bytes-bin") ?? [];
                await context.WriteResponseHeadersAsync([new Metadata.Entry("x-text", text), new Metadata.Entry("x-bytes-bin", bytes)]);
                context.ResponseTrailers.Add("x-end", text);
                context.ResponseTrailers.Add("x-end-bin", bytes);
                break;
            default:
                break;
        }

        return request;
    }

    public override async Task<Note> Collect(IAsyncStreamReader<Note> requestStream, ServerCallContext context)
    {
        var sum = new Note();
        await foreach (Note note in requestStream.ReadAllAsync())
        {
            sum.Number += note.Number;
            sum.Text += note.Text;
        }

        return sum;
    }

    public override async Task Count(Note request, IServerStreamWriter<Note> responseStream, ServerCallContext context)
    {
        try
        {
            for (int i = 1; i <= request.Number; i++)
            {
                await responseStream.WriteAsync(new Note { Number = i, Data = request.Data }, context.CancellationToken);
                _ = Interlocked.Increment(ref Counted);
            }
        }
        finally
        {
            CountEnded.TrySetResult();
        }

        if (request.Text == "fail")
        {
            throw new RpcException(new global::Grpc.Core.Status(StatusCode.DataLoss, "ünlucky: 100%"));
        }
    }

    public override async Task Talk(IAsyncStreamReader<Note> requestStream, IServerStreamWriter<Note> responseStream, ServerCallContext context)
    {
        while (await requestStream.MoveNext(context.CancellationToken))
        {
            await responseStream.WriteAsync(new Note { Text = requestStream.Current.Text.ToUpperInvariant(), Number = requestStream.Current.Number });
        }
    }
}
