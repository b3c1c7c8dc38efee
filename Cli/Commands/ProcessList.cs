using System.Globalization;
using NetKernel.Api.V1;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk proc list: is a program accelerated, by which NSM, and how much does its guest move.</summary>
internal static class ProcessList
{
    public static int Run(string directory, string format, string? only)
    {
        using var client = new NkdClient(directory);
        Guest[] guests = [.. client.Guests(processes: true).Where(guest => only is null || guest.Name == only)];
        if (only is not null && guests.Length == 0)
        {
            throw CliException.Failure($"there is no guest {only}: `nk guest list` shows all");
        }

        Listing.Print(Console.Out, format, guests, () => Table(guests));
        return ExitCode.Success;
    }

    internal static Table Table(Guest[] guests)
    {
        var table = new Table(
            new("GUEST"), new("PID", Right: true), new("PROGRAM"), new("ACCELERATED"), new("NSM"), new("GUEST-CONNS", Right: true), new("GUEST-SENT", Right: true),
            new("GUEST-RECEIVED", Right: true), new("REASON"));
        foreach (Guest guest in guests)
        {
            foreach (ProcessInfo process in guest.ProcessList.OrderBy(process => process.Pid))
            {
                table.Add(
                    guest.Name, process.Pid.ToString(CultureInfo.InvariantCulture), process.Name, process.Covered ? "yes" : "no", process.Covered ? guest.Nsm : "",
                    guest.Connections.ToString(CultureInfo.InvariantCulture), Units.Size(guest.BytesSent), Units.Size(guest.BytesReceived), process.Reason);
            }
        }

        return table;
    }
}
