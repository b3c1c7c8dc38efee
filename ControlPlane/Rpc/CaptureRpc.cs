using System.Net;
using Google.Protobuf;
using Grpc.Core;
using NetKernel.Api.V1;
using NetKernel.ControlPlane.Access;
using NetKernel.ControlPlane.Network;
using NetKernel.ControlPlane.Resources;
using NetKernel.ControlPlane.Services;

namespace NetKernel.ControlPlane.Rpc;

/// <summary>netkernel.v1.CaptureService. nkd looks at no frame: the kernel chooses them, and who asked for them makes a file of them.</summary>
internal sealed class CaptureRpc(Registry registry, INetwork network, IHostApplicationLifetime life) : CaptureService.CaptureServiceBase
{
    private const uint DefaultSeconds = 60, MostSeconds = 3600;
    private const ulong MostFrames = 10_000_000, MostBytes = 1ul << 30;
    private const int BatchBytes = 256 << 10, BatchFrames = 500, AtOnce = 4;
    private int _running;

    public override async Task Capture(CaptureRequest request, IServerStreamWriter<CaptureResponse> responseStream, ServerCallContext context)
    {
        AuditLog.Caller.MustBeOperator("capturing packets");
        AuditLog.About("guest", request.Guest, "");
        (string space, string? device, string nsm, PacketFilter.Instruction[] filter) = Check(request);
        if (Interlocked.Increment(ref _running) > AtOnce)
        {
            _ = Interlocked.Decrement(ref _running);
            throw new ServiceException(FailureCode.ResourceExhausted, $"{AtOnce} captures run already: end one of them");
        }

        try
        {
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken, life.ApplicationStopping);
            ended.CancelAfter(TimeSpan.FromSeconds(request.DurationSeconds == 0 ? DefaultSeconds : request.DurationSeconds));
            using PacketTap tap = PacketTap.Open(space, device, filter);
            await responseStream.WriteAsync(new CaptureResponse { Nsm = nsm });
            await FollowAsync(tap, request, responseStream, ended.Token);
        }
        catch (Exception e) when (context.CancellationToken.IsCancellationRequested && e is not ServiceException)
        {
            // Whoever asked has seen enough: the usual end, which the audit log shall know of.
        }
        finally
        {
            _ = Interlocked.Decrement(ref _running);
        }
    }

    private static async Task FollowAsync(PacketTap tap, CaptureRequest request, IServerStreamWriter<CaptureResponse> to, CancellationToken ended)
    {
        ulong frames = request.MaxFrames == 0 ? MostFrames : request.MaxFrames, bytes = request.MaxBytes == 0 ? MostBytes : request.MaxBytes;
        bool full = false;
        while (!full && !ended.IsCancellationRequested)
        {
            // The socket is waited for on a thread that may wait.
            CaptureResponse batch = await Task.Run(() => Take(tap, ref frames, ref bytes, out full), CancellationToken.None);
            if (batch.Frames.Count != 0)
            {
                await to.WriteAsync(batch);
            }
        }

        await to.WriteAsync(new CaptureResponse { Dropped = tap.Dropped });
    }

    private static CaptureResponse Take(PacketTap tap, ref ulong frames, ref ulong bytes, out bool full)
    {
        var batch = new CaptureResponse();
        int size = 0;
        full = false;
        while (size < BatchBytes && batch.Frames.Count < BatchFrames && !full && tap.TryTake(out CaptureFrame frame))
        {
            full = frames == 0 || bytes < (uint)frame.Data.Length;
            if (!full)
            {
                frames--;
                bytes -= (uint)frame.Data.Length;
                size += frame.Data.Length;
                batch.Frames.Add(new CapturedFrame
                {
                    TimeNanoseconds = frame.Nanoseconds,
                    Data = ByteString.CopyFrom(frame.Data.Span),
                    ChecksumStart = frame.ChecksumStart,
                    ChecksumOffset = frame.ChecksumOffset,
                    GsoSize = frame.GsoSize,
                });
                full = frames == 0;
            }
        }

        batch.Dropped = tap.Dropped;
        return batch;
    }

    private (string Space, string? Device, string Nsm, PacketFilter.Instruction[] Filter) Check(CaptureRequest request)
    {
        if (request.Port > ushort.MaxValue)
        {
            throw ServiceException.Invalid("port", $"{request.Port} is no port: 1 to 65535, or 0 for all");
        }

        if (request.DurationSeconds > MostSeconds)
        {
            throw ServiceException.Invalid("duration_seconds", $"a capture lasts {MostSeconds} seconds at most");
        }

        if (request.MaxFrames > MostFrames || request.MaxBytes > MostBytes)
        {
            throw ServiceException.Invalid("max_frames", $"a capture has {MostFrames} frames and {MostBytes} bytes at most");
        }

        if (!network.GuestsHaveAddresses)
        {
            throw new ServiceException(FailureCode.FailedPrecondition, $"in {network.Mode} mode guests have no addresses of their own to tell their packets by: captures need bridge mode (root)");
        }

        GuestRecord guest = registry.Now.Guests.GetValueOrDefault(request.Guest)
            ?? throw new ServiceException(FailureCode.NotFound, $"there is no guest {request.Guest}: `nk guest list` shows all", "guest", "guest/" + request.Guest);
        NsmRecord? nsm = registry.Now.Nsms.GetValueOrDefault(guest.Nsm);
        return nsm is not null && network.CapturePlace(nsm) is { } place
            ? (place.Space, place.Device, nsm.Name, PacketFilter.Make(IPAddress.Parse(guest.Ipv4), IPAddress.Parse(guest.Ipv6), (ushort)request.Port))
            : throw new ServiceException(FailureCode.FailedPrecondition, $"guest {guest.Name} is at NSM {guest.Nsm}, which has no network interface of its own");
    }
}
