using System.Globalization;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk status: the instance and its parts, and who the caller is to it.</summary>
internal static class StatusCommand
{
    public static int Run(string directory, string format)
    {
        using var client = new NkdClient(directory);
        PlatformStatus status = client.Status();
        Console.Out.Write(format switch
        {
            "json" => ProtoJson.Text(status) + "\n",
            "yaml" => Yaml.OfJson(ProtoJson.Text(status)),
            _ => Table(status).Text(wide: format == "wide"),
        });
        if (status.Notice.Length > 0)
        {
            Console.Error.WriteLine("nk: " + status.Notice);
        }

        return ExitCode.Success;
    }

    private static Table Table(PlatformStatus status)
    {
        var table = new Table(
            new("INSTANCE"), new("MODE"), new("VERSION"), new("UP", Right: true), new("NKD", Right: true), new("ENGINE", Right: true), new("STATE"), new("RESTARTS", Right: true), new("LOOPS", Right: true),
            new("NSMS", Right: true), new("GUESTS", Right: true), new("QUOTAS"), new("YOU"), new("RUN-DIR", Wide: true), new("STATE-DIR", Wide: true), new("REVISION", Right: true, Wide: true), new("LAST-EXIT", Wide: true));
        table.Add(
            status.Instance, status.Mode, status.Version, Units.Time(status.UptimeSeconds), Number(status.Pid), Number(status.EnginePid), status.EngineState, Number(status.EngineRestarts),
            Number(status.Loops), Number(status.Nsms), Number(status.Guests), status.Quotas, status.Role, status.RunDirectory, status.StateDirectory, Number(status.ResourceVersion), Times.LastExit(status.EngineLastExit, status.EngineLastExitTime));
        return table;
    }

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
