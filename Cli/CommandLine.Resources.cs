using System.CommandLine;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;
using NetKernel.Cli.Output;

namespace NetKernel.Cli;

/// <summary>The commands on guests, NSMs, tenants, policies, and on all of them together.</summary>
internal static partial class CommandLine
{
    private static Option<bool> WatchOption() => new("--watch", "-w") { Description = "then each change as it comes, until Ctrl-C" };

    private static Option<string[]> LabelOption() => new("--label") { Description = "a label KEY=VALUE; may be repeated", HelpName = "LABEL" };

    private static Option<string?> SharedMemoryOption(string otherwise) => new("--shared-memory")
    {
        Description = $"how it reaches guests of this host: off, copy, or direct (memory that both map) ({otherwise})",
        HelpName = "FORM",
    };

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
        Command create = Command("create", "make a guest", [nsm, tenant, four, six, shared, .. dns.All, .. limits.All, labels, dry], parse =>
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
        Command update = Command("update", "change a guest; --label replaces all its labels", [nsm, timeout, shared, .. dns.All, .. limits.All, labels], parse =>
        {
            var guest = new Guest
            {
                Name = parse.GetValue(name)!,
                Nsm = parse.GetValue(nsm) ?? "",
                Dns = dns.Of(parse),
                Limits = limits.Of(parse),
                SharedMemory = parse.GetValue(shared) ?? "",
            };
            Changes.Labels(guest.Labels, parse.GetValue(labels));
            return Changes.UpdateGuest(Where(parse), guest, [
                .. guest.Nsm.Length > 0 ? new[] { "nsm" } : [], .. guest.Dns is null ? [] : new[] { "dns" }, .. limits.Paths(parse), .. guest.Labels.Count > 0 ? new[] { "labels" } : [],
                .. parse.GetValue(shared) is null ? [] : new[] { "shared_memory" }],
                Moving.Seconds("--timeout", parse.GetValue(timeout)));
        });
        update.Arguments.Add(name);
        return update;
    }

    private static Option<string?> TimeoutOption(string description) => new("--timeout") { Description = description, HelpName = "TIME" };

    private static void AddMoves(Command group)
    {
        const string Left = "connections that are left after this time are reset, as 60s or 5m (they may last as long as they like)";
        Argument<string> drained = Name("NSM"), back = Name("NSM"), old = Name("NSM");
        Option<string?> timeout = TimeoutOption(Left), replaceTimeout = TimeoutOption(Left);
        var watch = new Option<bool>("--watch", "-w") { Description = "wait until it is drained, and say what is left" };
        var replaceWatch = new Option<bool>("--watch", "-w") { Description = watch.Description };
        Command drain = Command("drain", "no new connections; when those there are have ended, stop it (nk nsm drain kernel0 --timeout 60s --watch)", [timeout, watch], parse =>
            Moving.Drain(Where(parse), parse.GetValue(drained)!, Moving.Seconds("--timeout", parse.GetValue(timeout)), parse.GetValue(watch)));
        drain.Arguments.Add(drained);
        Command undrain = Command("undrain", "start a drained NSM again, and let it have connections", [], parse => Moving.Undrain(Where(parse), parse.GetValue(back)!));
        undrain.Arguments.Add(back);
        var with = new Option<string>("--with") { Description = "the NSM that takes its place", HelpName = "NAME", Required = true };
        Command replace = Command("replace", "move its guests and policies to another NSM, and drain it (nk nsm replace kernel0 --with kernel1)", [with, replaceTimeout, replaceWatch], parse =>
            Moving.Replace(Where(parse), parse.GetValue(old)!, parse.GetValue(with)!, Moving.Seconds("--timeout", parse.GetValue(replaceTimeout)), parse.GetValue(replaceWatch)));
        replace.Arguments.Add(old);
        group.Subcommands.Add(drain);
        group.Subcommands.Add(undrain);
        group.Subcommands.Add(replace);
    }

    private static Command Nsm()
    {
        var group = new Command("nsm", "network stack modules");
        Option<bool> watch = WatchOption();
        Command list = WithFormat("list", "NSMs, whom they serve, and how much", (parse, format) => Lists.Nsms(Where(parse), format, parse.GetValue(watch)));
        list.Options.Add(watch);
        group.Subcommands.Add(list);
        foreach (bool update in new[] { false, true })
        {
            Argument<string> name = Name("NSM");
            var kind = new Option<string?>("--kind") { Description = "which stack: kernel or mtcp (kernel)", HelpName = "KIND" };
            var congestion = new Option<string?>("--congestion") { Description = "cubic, bbr or reno, with mtcp also dctcp (cubic)", HelpName = "NAME" };
            var send = new Option<string?>("--sndbuf") { Description = "send buffer of each connection, as 262144, 256k or 1M (automatic)", HelpName = "BYTES" };
            var receive = new Option<string?>("--rcvbuf") { Description = "receive buffer of each connection (automatic)", HelpName = "BYTES" };
            var window = new Option<uint?>("--initcwnd") { Description = "segments of the first flight (the stack's default); for guests made afterwards", HelpName = "N" };
            var cpu = new Option<uint?>("--cpu") { Description = "quota of processor time, in thousandths of a core (none)", HelpName = "N" };
            var memory = new Option<string?>("--memory") { Description = "quota of memory, as 512M (none)", HelpName = "BYTES" };
            var restart = new Option<bool>("--restart") { Description = "start it again where the change needs it: its connections end" };
            Option<string[]> labels = LabelOption();
            Command command = Command(
                update ? "update" : "create", update ? "change an NSM" : "make an NSM",
                [.. update ? new Option[] { restart } : [kind], congestion, send, receive, window, cpu, memory, labels],
                parse =>
                {
                    var nsm = new Nsm
                    {
                        Name = parse.GetValue(name)!,
                        Kind = update ? "" : parse.GetValue(kind) ?? "",
                        CongestionControl = parse.GetValue(congestion) ?? "",
                        SendBuffer = Changes.Bytes("--sndbuf", parse.GetValue(send)),
                        ReceiveBuffer = Changes.Bytes("--rcvbuf", parse.GetValue(receive)),
                        InitialWindow = parse.GetValue(window) ?? 0,
                        CpuMillicores = parse.GetValue(cpu) ?? 0,
                        MemoryBytes = (ulong)Changes.Bytes("--memory", parse.GetValue(memory)),
                    };
                    Changes.Labels(nsm.Labels, parse.GetValue(labels));
                    string[] paths =
                    [
                        .. new (Option Option, string Path)[]
                        {
                            (congestion, "congestion_control"), (send, "send_buffer"), (receive, "receive_buffer"), (window, "initial_window"), (cpu, "cpu_millicores"),
                            (memory, "memory_bytes"), (labels, "labels"),
                        }.Where(one => parse.GetResult(one.Option) is { Implicit: false }).Select(one => one.Path),
                    ];
                    return update ? Changes.UpdateNsm(Where(parse), nsm, paths, parse.GetValue(restart)) : Changes.CreateNsm(Where(parse), nsm);
                });
            command.Arguments.Add(name);
            group.Subcommands.Add(command);
        }

        Argument<string> gone = Name("NSM");
        Command delete = Command("delete", "remove an NSM that serves nobody", [], parse => Changes.DeleteNsm(Where(parse), parse.GetValue(gone)!));
        delete.Arguments.Add(gone);
        group.Subcommands.Add(delete);
        AddMoves(group);
        return group;
    }

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
        Argument<string> name = Name("policy");
        var nsms = new Option<string[]>("--nsm") { Description = "an NSM, the preferred one first; may be repeated", HelpName = "NAME", Required = true };
        var priority = new Option<int>("--priority") { Description = "lower goes first (0)", HelpName = "N" };
        var tenant = new Option<string?>("--tenant") { Description = "for guests of this tenant", HelpName = "NAME" };
        var guest = new Option<string?>("--guest") { Description = "for this guest", HelpName = "NAME" };
        Option<string[]> labels = new("--label") { Description = "for guests with this label KEY=VALUE; may be repeated", HelpName = "LABEL" };
        var destination = new Option<string?>("--destination") { Description = "for connections to this network, as 198.18.0.0/16", HelpName = "NET" };
        var port = new Option<uint>("--port") { Description = "for connections to this port, or sockets bound to it", HelpName = "PORT" };
        var protocol = new Option<string?>("--protocol") { Description = "for tcp or udp only", HelpName = "PROTO" };
        Command create = Command("create", "make a policy (nk policy create db --guest web --port 5432 --nsm m0 --nsm kernel0)", [nsms, priority, tenant, guest, labels, destination, port, protocol], parse =>
        {
            var match = new PolicyMatch
            {
                Tenant = parse.GetValue(tenant) ?? "",
                Guest = parse.GetValue(guest) ?? "",
                Destination = parse.GetValue(destination) ?? "",
                Port = parse.GetValue(port),
                Protocol = parse.GetValue(protocol) ?? "",
            };
            Changes.Labels(match.Labels, parse.GetValue(labels));
            return Changes.CreatePolicy(
                Where(parse), new Policy { Name = parse.GetValue(name)!, Priority = parse.GetValue(priority), Match = match, Nsms = { parse.GetValue(nsms) ?? [] } });
        });
        create.Arguments.Add(name);
        group.Subcommands.Add(create);
        Argument<string> gone = Name("policy");
        Command delete = Command("delete", "remove a policy; guests stay where they are", [], parse => Changes.DeletePolicy(Where(parse), parse.GetValue(gone)!));
        delete.Arguments.Add(gone);
        group.Subcommands.Add(delete);
        return group;
    }

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
