using System.CommandLine;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>nk tenant and nk policy.</summary>
internal static partial class CommandLine
{
    private static Command Tenant()
    {
        var group = new Command("tenant", "tenants: whose guests are");
        Option<bool> watch = WatchOption();
        Command list = WithFormat("list", "tenants, and what their guests use", (parse, format) => Lists.Tenants(Where(parse), format, parse.GetValue(watch)));
        list.Options.Add(watch);
        group.Subcommands.Add(list);
        foreach (bool update in new[] { false, true })
        {
            Argument<string> name = Name("tenant");
            var uid = new Option<uint[]>("--uid") { Description = "a user of this host who acts for it; may be repeated", HelpName = "UID" };
            var most = new Option<uint?>("--max-guests") { Description = "most guests that it may have", HelpName = "N" };
            Option<string[]> labels = LabelOption();
            LimitOptions limits = new();
            Option<string?> shared = SharedMemoryOption("copy; its guests may say otherwise");
            var across = new Option<bool?>("--shared-memory-across") { Description = "true: also to and from guests of other tenants that say so, too; never direct (false)", HelpName = "BOOL" };
            Command command = Command(update ? "update" : "create", update ? "change a tenant; --uid and --label replace all" : "make a tenant", [uid, most, shared, across, .. limits.All, labels], parse =>
            {
                var tenant = new Tenant
                {
                    Name = parse.GetValue(name)!,
                    Uids = { parse.GetValue(uid) ?? [] },
                    MaxGuests = parse.GetValue(most) ?? 0,
                    Limits = limits.Of(parse),
                    SharedMemory = parse.GetValue(shared) ?? "",
                    SharedMemoryAcross = parse.GetValue(across) ?? false,
                };
                Changes.Labels(tenant.Labels, parse.GetValue(labels));
                return !update ? Changes.CreateTenant(Where(parse), tenant) : Changes.UpdateTenant(Where(parse), tenant, [
                    .. tenant.Uids.Count > 0 ? new[] { "uids" } : [], .. parse.GetValue(most) is null ? [] : new[] { "max_guests" }, .. limits.Paths(parse),
                    .. tenant.Labels.Count > 0 ? new[] { "labels" } : [], .. parse.GetValue(shared) is null ? [] : new[] { "shared_memory" },
                    .. parse.GetValue(across) is null ? [] : new[] { "shared_memory_across" }]);
            });
            command.Arguments.Add(name);
            group.Subcommands.Add(command);
        }

        Argument<string> gone = Name("tenant");
        Command delete = Command("delete", "remove a tenant that has no guests", [], parse => Changes.DeleteTenant(Where(parse), parse.GetValue(gone)!));
        delete.Arguments.Add(gone);
        group.Subcommands.Add(delete);
        return group;
    }

    private static Command Policy()
    {
        var group = new Command("policy", "which NSM serves which guests and connections");
        Option<bool> watch = WatchOption();
        Command list = WithFormat("list", "policies in the order in which they are asked", (parse, format) => Lists.Policies(Where(parse), format, parse.GetValue(watch)));
        list.Options.Add(watch);
        group.Subcommands.Add(list);
        foreach (bool update in new[] { false, true })
        {
            Argument<string> name = Name("policy");
            var nsms = new Option<string[]>("--nsm") { Description = "an NSM, the preferred one first; may be repeated", HelpName = "NAME", Required = !update };
            var priority = new Option<int?>("--priority") { Description = "lower goes first (0)", HelpName = "N" };
            var tenant = new Option<string?>("--tenant") { Description = "for guests of this tenant", HelpName = "NAME" };
            var guest = new Option<string?>("--guest") { Description = "for this guest", HelpName = "NAME" };
            Option<string[]> labels = new("--label") { Description = "for guests with this label KEY=VALUE; may be repeated", HelpName = "LABEL" };
            var destination = new Option<string?>("--destination") { Description = "for connections to this network, as 198.18.0.0/16", HelpName = "NET" };
            var port = new Option<uint?>("--port") { Description = "for connections to this port, or sockets bound to it", HelpName = "PORT" };
            var protocol = new Option<string?>("--protocol") { Description = "for tcp or udp only", HelpName = "PROTO" };
            Command command = Command(
                update ? "update" : "create",
                update ? "change a policy; --nsm replaces all, an empty word lifts a condition (nk policy update db --nsm kernel0 --guest '')"
                    : "make a policy (nk policy create db --guest web --port 5432 --nsm m0 --nsm kernel0)",
                [nsms, priority, tenant, guest, labels, destination, port, protocol],
                parse =>
                {
                    var match = new PolicyMatch
                    {
                        Tenant = parse.GetValue(tenant) ?? "",
                        Guest = parse.GetValue(guest) ?? "",
                        Destination = parse.GetValue(destination) ?? "",
                        Port = parse.GetValue(port) ?? 0,
                        Protocol = parse.GetValue(protocol) ?? "",
                    };
                    Changes.Labels(match.Labels, parse.GetValue(labels)?.Where(label => label.Length > 0).ToArray());
                    var policy = new Policy { Name = parse.GetValue(name)!, Priority = parse.GetValue(priority) ?? 0, Match = match, Nsms = { parse.GetValue(nsms) ?? [] } };
                    string[] paths =
                    [
                        .. new (Option Option, string Path)[]
                        {
                            (nsms, "nsms"), (priority, "priority"), (tenant, "match.tenant"), (guest, "match.guest"), (labels, "match.labels"), (destination, "match.destination"),
                            (port, "match.port"), (protocol, "match.protocol"),
                        }.Where(one => parse.GetResult(one.Option) is { Implicit: false }).Select(one => one.Path),
                    ];
                    return update ? Changes.UpdatePolicy(Where(parse), policy, paths) : Changes.CreatePolicy(Where(parse), policy);
                });
            command.Arguments.Add(name);
            group.Subcommands.Add(command);
        }

        Argument<string> gone = Name("policy");
        Command delete = Command("delete", "remove a policy; guests stay where they are", [], parse => Changes.DeletePolicy(Where(parse), parse.GetValue(gone)!));
        delete.Arguments.Add(gone);
        group.Subcommands.Add(delete);
        return group;
    }
}
