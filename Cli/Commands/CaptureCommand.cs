using System.Runtime.InteropServices;
using NetKernel.Api.V1;
using NetKernel.Stack;

namespace NetKernel.Cli.Commands;

/// <summary>
/// nk capture: a guest's packets into a file for tshark. nkd listens at the NSM's interface; the file is written here, with the rights of whoever runs nk, so that nobody can
/// make nkd write anywhere.
/// </summary>
internal static class CaptureCommand
{
    /// <summary>Largest file, bytes.</summary>
    private const ulong MostBytes = 1ul << 30;

    public static int Run(string directory, CaptureRequest request, string path, ulong packets)
    {
        using var client = new NkdClient(directory);
        using var stop = new CancellationTokenSource();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        request.MaxFrames = packets == 0 ? 0 : packets; // Each frame is at least one packet.
        PcapWriter? file = null;
        Stream? to = null;
        ulong dropped = 0;
        try
        {
            var wire = new WireFrames();
            foreach (CaptureResponse batch in client.Capture(request, stop.Token))
            {
                if (file is null)
                {
                    to = Open(path);
                    file = new PcapWriter(to, packets == 0 ? ulong.MaxValue : packets, MostBytes);
                    to.Flush();
                    Console.Error.WriteLine($"nk: capturing what guest {request.Guest} sends and receives at NSM {batch.Nsm}; Ctrl-C ends it");
                }

                dropped = Math.Max(dropped, batch.Dropped);
                foreach (CapturedFrame frame in batch.Frames)
                {
                    var state = new Unfinished(frame.ChecksumStart, frame.ChecksumOffset, frame.GsoSize);
                    _ = wire.Expand(frame.Data.Span, state, one => file.Add(frame.TimeNanoseconds, one));
                }

                to!.Flush();
                if (file.IsFull)
                {
                    break;
                }
            }
        }
        finally
        {
            to?.Dispose();
        }

        string lost = dropped == 0 ? "" : $"; {dropped} frames came too fast and are missing";
        Console.Error.WriteLine($"nk: {file?.Packets ?? 0} packets, {file?.Bytes ?? 0} bytes in {(path == "-" ? "standard output" : path)}{lost}");
        if (file?.Packets == 0)
        {
            Console.Error.WriteLine(
                "nk: nothing passed the interface: connections between guests of this host go by shared memory (`nk up --shared-memory off`), and those between guests of one mtcp NSM "
                + "within its stack");
        }

        return ExitCode.Success;

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            stop.Cancel();
        }
    }

    private static Stream Open(string path)
    {
        if (path == "-")
        {
            return Console.OpenStandardOutput();
        }

        try
        {
            // What is in it is nobody else's to read.
            return new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.Create,
                Access = FileAccess.Write,
                BufferSize = 1 << 16,
                UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
            });
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.Failure($"{path} cannot be written: {e.Message}");
        }
    }
}
