using System.Text.Json.Serialization;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>What a check found. State: ok, warn or fail; mend: the command that helps, if any.</summary>
internal sealed record Finding(string Check, string State, string Message, string? Mend = null)
{
    public static Finding Ok(string check, string message) => new(check, "ok", message);

    public static Finding Warn(string check, string message, string? mend) => new(check, "warn", message, mend);

    public static Finding Fail(string check, string message, string? mend) => new(check, "fail", message, mend);
}

[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Finding[]))]
internal sealed partial class FindingJson : JsonSerializerContext;

/// <summary>nk doctor: exit code 1 only when something fails; warnings cost speed or comfort.</summary>
internal static class Doctor
{
    public static int Run(string directory, string format)
    {
        Finding[] findings = [.. DoctorChecks.All(directory)];
        if (format is "json" or "yaml")
        {
            string json = System.Text.Json.JsonSerializer.Serialize(findings, FindingJson.Default.FindingArray);
            Console.Out.Write(format == "json" ? json + "\n" : Yaml.OfJson(json));
        }
        else
        {
            Console.Out.Write(Table(findings));
        }

        return findings.Any(finding => finding.State == "fail") ? ExitCode.Failure : ExitCode.Success;
    }

    internal static Table Table(IEnumerable<Finding> findings)
    {
        var table = new Table(new("CHECK"), new("STATE"), new("FOUND"), new("MEND"));
        foreach (Finding finding in findings)
        {
            table.Add(finding.Check, finding.State, finding.Message, finding.Mend ?? "");
        }

        return table;
    }
}
