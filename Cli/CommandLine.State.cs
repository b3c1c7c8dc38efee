using System.CommandLine;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>Commands on all that is declared together, and on who may use it.</summary>
internal static partial class CommandLine
{
    private static Command Apply()
    {
        var file = new Option<string>("--file", "-f") { Description = "a YAML file, or - for standard input", HelpName = "FILE", Required = true };
        var dry = new Option<bool>("--dry-run") { Description = "print the difference and change nothing" };
        var prune = new Option<bool>("--prune") { Description = "remove what is not in the file" };
        var force = new Option<bool>("--force") { Description = "also where programs are ended or NSMs start again" };
        Command apply = WithFormat("apply", "make what is declared match a file", (parse, format) =>
            ApplyCommand.Apply(Where(parse), parse.GetValue(file)!, parse.GetValue(dry), parse.GetValue(prune), parse.GetValue(force), format));
        foreach (Option option in new Option[] { file, dry, prune, force })
        {
            apply.Options.Add(option);
        }

        return apply;
    }

    private static Command Audit()
    {
        var about = new Option<string?>("--about") { Description = "only about this, as guest/web", HelpName = "KIND/NAME" };
        var tenant = new Option<string?>("--tenant") { Description = "only about this tenant's", HelpName = "NAME" };
        var most = new Option<int>("--lines", "-n") { Description = "at most so many, the newest first (50)", HelpName = "N", DefaultValueFactory = _ => 50 };
        Command audit = WithFormat("audit", "who changed what", (parse, format) =>
            Lists.Audit(Where(parse), format, parse.GetValue(about), parse.GetValue(tenant), Math.Max(1, parse.GetValue(most))));
        audit.Options.Add(about);
        audit.Options.Add(tenant);
        audit.Options.Add(most);
        return audit;
    }

    private static Command Top()
    {
        var rounds = new Option<int>("--rounds") { Description = "so many times, then end (until Ctrl-C)", HelpName = "N" };
        var rows = new Option<int>("--rows") { Description = "guests shown (20)", HelpName = "N", DefaultValueFactory = _ => 20 };
        return Command("top", "tenants and guests by what they use, every second", [rounds, rows], parse =>
            TopCommand.Run(Where(parse), Math.Max(0, parse.GetValue(rounds)), Math.Max(1, parse.GetValue(rows))));
    }

    private static Command Certificate()
    {
        var group = new Command("cert", "a small certificate authority, for the API over TCP (nk up --listen)");
        var folder = new Option<string>("--dir") { Description = "where the files are put (.)", HelpName = "DIR", DefaultValueFactory = _ => "." };
        Command init = Command("init", "make the authority: ca.pem, ca.key", [folder], parse => Certificates.Authority(parse.GetValue(folder)!));
        var hosts = new Option<string[]>("--host") { Description = "a name or address by which clients reach nkd; may be repeated", HelpName = "HOST" };
        Command server = Command("server", "make nkd's certificate: server.pem, server.key", [folder, hosts], parse => Certificates.Server(parse.GetValue(folder)!, parse.GetValue(hosts) ?? []));
        Argument<string> name = Name("certificate");
        var tenant = new Option<string?>("--tenant") { Description = "for this tenant (the operator)", HelpName = "NAME" };
        var days = new Option<int>("--days") { Description = "valid for so many days (90)", HelpName = "N", DefaultValueFactory = _ => 90 };
        Command client = Command("client", "make a client's certificate: NAME.pem, NAME.key", [folder, tenant, days], parse =>
            Certificates.Client(parse.GetValue(folder)!, parse.GetValue(name)!, parse.GetValue(tenant), parse.GetValue(days)));
        client.Arguments.Add(name);
        group.Subcommands.Add(init);
        group.Subcommands.Add(server);
        group.Subcommands.Add(client);
        return group;
    }
}
