using System.CommandLine;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>nk guest, and options that guests share with others.</summary>
internal static partial class CommandLine
{
    private static Option<bool> WatchOption() => new("--watch", "-w") { Description = "then each change as it comes, until Ctrl-C" };

    private static Option<string[]> LabelOption() => new("--label") { Description = "a label KEY=VALUE; may be repeated", HelpName = "LABEL" };

    private static Option<string?> SharedMemoryOption(string otherwise) => new("--shared-memory")
    {
        Description = $"how it reaches guests of this host: off, copy, or direct (memory that both map) ({otherwise})",
        HelpName = "FORM",
    };

    private static Option<string?> CongestionOption(string otherwise) => new("--congestion-control", "--congestion")
    {
        Description = $"of its new connections whose program chooses none: cubic, bbr, reno, with kind mtcp also dctcp ({otherwise})",
        HelpName = "NAME",
    };

    private static Option<string?> TimeoutOption(string description) => new("--timeout") { Description = description, HelpName = "TIME" };

    private static Command Guest()
    {
        var group = new Command("guest", "guests: a namespace with nothing but lo, and a channel to the stack");
        var only = new Option<string?>("--tenant") { Description = "of this tenant only", HelpName = "NAME" };
        Option<bool> watch = WatchOption();
        Command list = WithFormat(
            "list", "guests, what runs in them, and what they use", (parse, format) => Lists.Guests(Where(parse), format, parse.GetValue(only) ?? "", parse.GetValue(watch)));
        list.Options.Add(only);
        list.Options.Add(watch);
        group.Subcommands.Add(list);

        Argument<string> name = Name("guest");
        var nsm = new Option<string?>("--nsm") { Description = "its NSM (what the policies choose, or the first)", HelpName = "NAME" };
        var tenant = new Option<string?>("--tenant") { Description = "whose it is (default)", HelpName = "NAME" };
        var four = new Option<string?>("--ipv4") { Description = "its IPv4 address (the next free one)", HelpName = "ADDRESS" };
        var six = new Option<string?>("--ipv6") { Description = "its IPv6 address (the next free one)", HelpName = "ADDRESS" };
        var dry = new Option<bool>("--dry-run") { Description = "check everything and change nothing" };
        Option<string[]> labels = LabelOption();
        DnsOptions dns = new();
        LimitOptions limits = new();
        Option<string?> shared = SharedMemoryOption("what its tenant says");
        Option<string?> congestion = CongestionOption("its NSM's");
        Command create = Command("create", "make a guest", [nsm, tenant, four, six, shared, congestion, .. dns.All, .. limits.All, labels, dry], parse =>
        {
            var guest = new Guest
            {
                Name = parse.GetValue(name)!,
                Nsm = parse.GetValue(nsm) ?? "",
                Tenant = parse.GetValue(tenant) ?? "",
                Ipv4 = parse.GetValue(four) ?? "",
                Ipv6 = parse.GetValue(six) ?? "",
                Dns = dns.Of(parse),
                Limits = limits.Of(parse),
                SharedMemory = parse.GetValue(shared) ?? "",
                CongestionControl = parse.GetValue(congestion) ?? "",
            };
            Changes.Labels(guest.Labels, parse.GetValue(labels));
            return Changes.CreateGuest(Where(parse), guest, parse.GetValue(dry));
        });
        create.Arguments.Add(name);
        group.Subcommands.Add(create);
        group.Subcommands.Add(UpdateGuest());

        Argument<string> gone = Name("guest");
        var force = new Option<bool>("--force") { Description = "also when programs run in it: they are ended" };
        Command delete = Command("delete", "remove a guest", [force], parse => Changes.DeleteGuest(Where(parse), parse.GetValue(gone)!, parse.GetValue(force)));
        delete.Arguments.Add(gone);
        group.Subcommands.Add(delete);
        return group;
    }

    private static Command UpdateGuest()
    {
        Argument<string> name = Name("guest");
        var nsm = new Option<string?>("--nsm") { Description = "move it to this NSM: new connections go there, those there are stay until they end", HelpName = "NAME" };
        Option<string?> timeout = TimeoutOption("with --nsm: what is left at the former NSM after this time is reset, as 60s or 5m (never)");
        Option<string[]> labels = LabelOption();
        DnsOptions dns = new();
        LimitOptions limits = new();
        Option<string?> shared = SharedMemoryOption("\"\": what its tenant says");
        Option<string?> congestion = CongestionOption("\"\": its NSM's");
        Command update = Command("update", "change a guest; --label replaces all its labels", [nsm, timeout, shared, congestion, .. dns.All, .. limits.All, labels], parse =>
        {
            var guest = new Guest
            {
                Name = parse.GetValue(name)!,
                Nsm = parse.GetValue(nsm) ?? "",
                Dns = dns.Of(parse),
                Limits = limits.Of(parse),
                SharedMemory = parse.GetValue(shared) ?? "",
                CongestionControl = parse.GetValue(congestion) ?? "",
            };
            Changes.Labels(guest.Labels, parse.GetValue(labels));
            return Changes.UpdateGuest(Where(parse), guest, [
                .. guest.Nsm.Length > 0 ? new[] { "nsm" } : [], .. guest.Dns is null ? [] : new[] { "dns" }, .. limits.Paths(parse), .. guest.Labels.Count > 0 ? new[] { "labels" } : [],
                .. parse.GetValue(shared) is null ? [] : new[] { "shared_memory" },
                .. parse.GetValue(congestion) is null ? [] : new[] { "congestion_control" }],
                Moving.Seconds("--timeout", parse.GetValue(timeout)));
        });
        update.Arguments.Add(name);
        return update;
    }
}
