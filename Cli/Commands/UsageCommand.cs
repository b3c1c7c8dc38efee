using System.Globalization;
using Google.Protobuf.WellKnownTypes;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>What nk usage was asked for: by whom, whose, and over which time; null: now.</summary>
internal sealed record UsageQuestion(UsageGroup By, string Name, string Tenant, string? From, string? To, string? Step)
{
    public bool IsNow => From is null && To is null && Step is null;

    /// <summary>As the API takes it.</summary>
    public QueryUsageRequest Request(DateTimeOffset now)
    {
        var request = new QueryUsageRequest
        {
            GroupBy = By,
            Tenant = By == UsageGroup.Tenant && Name.Length > 0 ? Name : Tenant,
            Guest = By == UsageGroup.Guest ? Name : "",
            Nsm = By == UsageGroup.Nsm ? Name : "",
            StepSeconds = Step is null ? 0 : (uint)Math.Min(uint.MaxValue, Times.ParseLength("--step", Step).TotalSeconds),
        };
        if (From is not null)
        {
            request.From = Timestamp.FromDateTimeOffset(Times.Parse("--from", From, now));
        }

        if (To is not null)
        {
            request.To = Timestamp.FromDateTimeOffset(Times.Parse("--to", To, now));
        }

        return request;
    }
}

/// <summary>nk usage: who uses how much, now or over a time.</summary>
internal static class UsageCommand
{
    public static int Run(string directory, string format, UsageQuestion question)
    {
        using var client = new NkdClient(directory);
        QueryUsageRequest request = question.Request(DateTimeOffset.UtcNow);
        if (question.IsNow)
        {
            GetUsageResponse now = client.Usage(new GetUsageRequest { GroupBy = request.GroupBy, Tenant = request.Tenant, Guest = request.Guest, Nsm = request.Nsm });
            MustKnow(question, now.Usage.Count);
            Listing.Print(Console.Out, format, now.Usage, () => NowTable(now, question.By));
            return ExitCode.Success;
        }

        (UsagePoint[] points, QueryUsageResponse about) = client.Usage(request);
        Listing.Print(Console.Out, format, points, () => SeriesTable(points, question.By));
        Console.Error.WriteLine(
            $"nk: usage from {Times.Text(about.From.ToDateTime())} to {Times.Text(about.To.ToDateTime())}, kept in steps of {about.ResolutionSeconds} s");
        return ExitCode.Success;
    }

    internal static Table NowTable(GetUsageResponse now, UsageGroup by)
    {
        double seconds = Math.Max(now.IntervalSeconds, 1e-9);
        var table = new Table(
        [
            .. Names(by), new("SENT/s", Right: true), new("RECEIVED/s", Right: true), new("OPS/s", Right: true), new("CPU", Right: true), new("OPEN", Right: true), new("SENT", Right: true),
            new("RECEIVED", Right: true), new("OPS", Right: true), new("CONNS", Right: true), new("FAILED", Right: true), new("CPU-TIME", Right: true), new("RTT", Right: true, Wide: true),
            new("NQE", Right: true, Wide: true), new("REFUSED", Right: true, Wide: true), new("RESETS", Right: true, Wide: true), new("RETRANS", Right: true, Wide: true),
            new("CPU-ENGINE", Right: true, Wide: true), new("CPU-NSM", Right: true, Wide: true), new("SINCE", Wide: true),
        ]);
        foreach (Usage u in now.Usage)
        {
            (UsageAmounts all, UsageAmounts last) = (u.Total, u.Last);
            table.Add(
            [
                .. Cells(by, u.Tenant, u.Guest, u.Nsm), Units.Size(last.SentBytes / seconds), Units.Size(last.ReceivedBytes / seconds), Units.Count(last.Operations / seconds),
                Units.Percent(Cpu(last) / seconds), Number(u.Open), Units.Size(all.SentBytes), Units.Size(all.ReceivedBytes), Units.Count(all.Operations),
                Units.Count(all.Connects + all.Accepts), Units.Count(all.ConnectsFailed), Units.Time(Cpu(all)), Rtt(all), Units.Count(all.Nqes), Units.Count(all.Refused),
                Units.Count(all.Resets), Units.Count(all.Retransmits), Units.Time(all.EngineCpuNanoseconds / 1e9), Units.Time(all.NsmCpuNanoseconds / 1e9),
                Times.Text(u.FirstSeen.ToDateTime()),
            ]);
        }

        return table;
    }

    internal static Table SeriesTable(UsagePoint[] points, UsageGroup by)
    {
        var table = new Table(
        [
            new("FROM"), new("TO", Wide: true), .. Names(by), new("SENT", Right: true), new("RECEIVED", Right: true), new("OPS", Right: true), new("CONNS", Right: true),
            new("FAILED", Right: true), new("OPEN-AVG", Right: true), new("CPU-TIME", Right: true), new("CPU", Right: true), new("RTT", Right: true, Wide: true),
            new("NQE", Right: true, Wide: true), new("REFUSED", Right: true, Wide: true), new("RESETS", Right: true, Wide: true), new("RETRANS", Right: true, Wide: true),
            new("CPU-ENGINE", Right: true, Wide: true), new("CPU-NSM", Right: true, Wide: true),
        ]);
        foreach (UsagePoint p in points)
        {
            UsageAmounts a = p.Amounts;
            double seconds = Math.Max((p.End.ToDateTime() - p.Start.ToDateTime()).TotalSeconds, 1e-9);
            table.Add(
            [
                Times.Text(p.Start.ToDateTime()), Times.Text(p.End.ToDateTime()), .. Cells(by, p.Tenant, p.Guest, p.Nsm), Units.Size(a.SentBytes), Units.Size(a.ReceivedBytes),
                Units.Count(a.Operations), Units.Count(a.Connects + a.Accepts), Units.Count(a.ConnectsFailed), (a.OpenSeconds / seconds).ToString("F1", CultureInfo.InvariantCulture),
                Units.Time(Cpu(a)), Units.Percent(Cpu(a) / seconds), Rtt(a), Units.Count(a.Nqes), Units.Count(a.Refused), Units.Count(a.Resets), Units.Count(a.Retransmits),
                Units.Time(a.EngineCpuNanoseconds / 1e9), Units.Time(a.NsmCpuNanoseconds / 1e9),
            ]);
        }

        return table;
    }

    private static double Cpu(UsageAmounts a) => (a.EngineCpuNanoseconds + a.NsmCpuNanoseconds) / 1e9;

    private static string Rtt(UsageAmounts a) => a.RttSamples == 0 ? "" : Units.Time(a.RttMicroseconds / 1e6);

    private static Column[] Names(UsageGroup by) => by switch
    {
        UsageGroup.Guest => [new("GUEST"), new("TENANT")],
        UsageGroup.Nsm => [new("NSM")],
        _ => [new("TENANT")],
    };

    // What belongs to no tenant is the platform's own: CoreEngine's and the NSMs' time that no guest's work explains.
    private static string[] Cells(UsageGroup by, string tenant, string guest, string nsm) => by switch
    {
        UsageGroup.Guest => [guest.Length > 0 ? guest : "(platform)", tenant],
        UsageGroup.Nsm => [nsm.Length > 0 ? nsm : "(core-engine)"],
        _ => [tenant.Length > 0 ? tenant : "(platform)"],
    };

    private static void MustKnow(UsageQuestion question, int rows)
    {
        if (rows == 0 && question.Name.Length > 0)
        {
            string kind = question.By switch { UsageGroup.Guest => "guest", UsageGroup.Nsm => "NSM", _ => "tenant" };
            throw CliException.Failure($"nothing is known of the usage of {kind} {question.Name}: `nk usage {kind.ToLowerInvariant()}` lists all of whom something is");
        }
    }

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
