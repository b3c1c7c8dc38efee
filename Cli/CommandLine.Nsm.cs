using System.CommandLine;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>nk nsm.</summary>
internal static partial class CommandLine
{
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
            var window = new Option<uint?>("--initcwnd") { Description = "segments of the first flight of new connections (the stack's default); bridge mode", HelpName = "N" };
            var cores = new Option<uint?>("--cores") { Description = "with mtcp: threads, each with a stack of its own (1); at most as many as CoreEngine has loops", HelpName = "N" };
            var link = new Option<string?>("--link") { Description = "with mtcp: packet, xdp or tap (packet)", HelpName = "KIND" };
            var vlan = new Option<uint?>("--vlan") { Description = "with mtcp: 802.1Q tag of what it sends and takes, 1 to 4094 (none)", HelpName = "ID" };
            var mode = new Option<string?>("--network-mode") { Description = "host: with kind kernel in bridge mode, use the host's own network (as the instance)", HelpName = "MODE" };
            var cpu = new Option<uint?>("--cpu") { Description = "quota of processor time, in thousandths of a core (none)", HelpName = "N" };
            var memory = new Option<string?>("--memory") { Description = "quota of memory, as 512M (none)", HelpName = "BYTES" };
            var restart = new Option<bool>("--restart") { Description = "start it again where the change needs it: its connections end" };
            Option<string[]> labels = LabelOption();
            Command command = Command(
                update ? "update" : "create", update ? "change an NSM" : "make an NSM",
                [.. update ? new Option[] { restart } : [kind, link, mode], congestion, send, receive, window, cores, vlan, cpu, memory, labels],
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
                        Cores = parse.GetValue(cores) ?? 0,
                        Link = update ? "" : parse.GetValue(link) ?? "",
                        NetworkMode = update ? "" : parse.GetValue(mode) ?? "",
                        Vlan = parse.GetValue(vlan) ?? 0,
                        CpuMillicores = parse.GetValue(cpu) ?? 0,
                        MemoryBytes = (ulong)Changes.Bytes("--memory", parse.GetValue(memory)),
                    };
                    Changes.Labels(nsm.Labels, parse.GetValue(labels));
                    string[] paths =
                    [
                        .. new (Option Option, string Path)[]
                        {
                            (congestion, "congestion_control"), (send, "send_buffer"), (receive, "receive_buffer"), (window, "initial_window"), (cores, "cores"), (vlan, "vlan"), (cpu, "cpu_millicores"),
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
}
