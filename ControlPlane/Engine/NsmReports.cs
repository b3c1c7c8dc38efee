using System.Net.Sockets;
using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.ControlPlane.Engine;

/// <summary>Asks NSMs what their stacks know of connections (<see cref="ConnectionReport"/>). An NSM is not trusted: whatever it answers, asking ends.</summary>
internal static class NsmReports
{
    private const int TimeoutMs = 1000, MostAnswers = 16384;

    /// <summary>The reports of one NSM's connections; none when it does not answer as it should within a second.</summary>
    public static List<ConnectionReport> Of(string runDirectory, uint nsm)
    {
        var found = new List<ConnectionReport>();
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { ReceiveTimeout = TimeoutMs, SendTimeout = TimeoutMs };
            socket.Connect(new UnixDomainSocketEndPoint(ReportAnswer.PathOf(runDirectory, nsm)));
            var request = new ReportRequest { Magic = ReportAnswer.Magic };
            byte[] buffer = new byte[ReportAnswer.Length + (ReportAnswer.Most * ConnectionReport.Length)];
            for (int i = 0; i < MostAnswers && Ask(socket, ref request, buffer, found); i++)
            {
            }
        }
        catch (SocketException)
        {
            // Not up, being replaced, or stuck: the listing goes without.
        }

        return found;
    }

    /// <summary>True: there is more to ask.</summary>
    private static bool Ask(Socket socket, ref ReportRequest request, byte[] buffer, List<ConnectionReport> found)
    {
        _ = socket.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<ReportRequest>(in request)));
        int got = socket.Receive(buffer);
        if (got < ReportAnswer.Length)
        {
            return false;
        }

        ReportAnswer answer = MemoryMarshal.Read<ReportAnswer>(buffer);
        if (answer.Mark != ReportAnswer.Magic || answer.Count > ReportAnswer.Most || got != ReportAnswer.Length + (answer.Count * ConnectionReport.Length))
        {
            return false;
        }

        found.AddRange(MemoryMarshal.Cast<byte, ConnectionReport>(buffer.AsSpan(ReportAnswer.Length, got - ReportAnswer.Length)));
        request.QueueSet = answer.QueueSet;
        request.Id = answer.Id;
        return answer.IsLast == 0;
    }
}
