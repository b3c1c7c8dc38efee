using System.CommandLine;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>nk usage.</summary>
internal static partial class CommandLine
{
    private static Command Usage()
    {
        var by = new Argument<string>("by") { Description = "tenant, guest or nsm (tenant)", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "tenant" };
        by.AcceptOnlyFromAmong("tenant", "guest", "nsm");
        var name = new Argument<string?>("name") { Description = "this one only", Arity = ArgumentArity.ZeroOrOne };
        Option<string?> tenant = TenantOption(), from = FromOption(), to = ToOption(), step = StepOption();
        Command usage = WithFormat("usage", "who uses how much: now, or over a time", (parse, format) => UsageCommand.Run(Where(parse), format, new UsageQuestion(
            parse.GetValue(by) switch { "guest" => UsageGroup.Guest, "nsm" => UsageGroup.Nsm, _ => UsageGroup.Tenant },
            parse.GetValue(name) ?? "", parse.GetValue(tenant) ?? "", parse.GetValue(from), parse.GetValue(to), parse.GetValue(step))));
        usage.Arguments.Add(by);
        usage.Arguments.Add(name);
        foreach (Option option in new Option[] { tenant, from, to, step })
        {
            usage.Options.Add(option);
        }

        usage.Subcommands.Add(UsageExportCommand());
        return usage;
    }

    private static Command UsageExportCommand()
    {
        Option<string?> tenant = TenantOption(), from = FromOption(), to = ToOption(), step = StepOption();
        from.Required = true;
        from.Description = "from this time on: 2026-11-01, 2026-11-01T08:00:00Z (UTC), or how long ago, as 30d";
        var format = new Option<string>("--output", "-o") { Description = "csv or json", HelpName = "FORMAT", DefaultValueFactory = _ => "csv" };
        format.AcceptOnlyFromAmong("csv", "json");
        return Command("export", "what a bill is made from: a row per guest and NSM, and their sum", [tenant, from, to, step, format], parse => UsageExport.Run(
            Where(parse), parse.GetValue(format)!, parse.GetValue(tenant) ?? "", parse.GetValue(from)!, parse.GetValue(to), parse.GetValue(step)));
    }

    private static Option<string?> TenantOption() => new("--tenant") { Description = "of this tenant only", HelpName = "NAME" };

    private static Option<string?> FromOption() => new("--from") { Description = "from this time on: 2026-11-01, 2026-11-01T08:00:00Z (UTC), or how long ago, as 2h (an hour before --to)", HelpName = "TIME" };

    private static Option<string?> ToOption() => new("--to") { Description = "up to this time (now)", HelpName = "TIME" };

    private static Option<string?> StepOption() => new("--step") { Description = "in steps of 10s, 1m, 1h or multiples (all as one)", HelpName = "LENGTH" };
}
