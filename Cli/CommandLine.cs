using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Commands;
using NetKernel.Cli.Output;

namespace NetKernel.Cli;

/// <summary>The commands, their options, and the one place where failures become a line and an exit code.</summary>
internal static partial class CommandLine
{
    private static readonly Option<string?> RunDirectory = new("--run-dir") { Description = "run directory (NETKERNEL_RUN_DIR)", HelpName = "DIR", Recursive = true };
    private static readonly Option<string?> Instance = new("--instance") { Description = "instance, when several run side by side (NETKERNEL_INSTANCE)", HelpName = "NAME", Recursive = true };

    private static readonly Option<string?> Address = new("--address") { Description = "a nkd elsewhere, by TLS with a certificate (NETKERNEL_ADDRESS)", HelpName = "HOST:PORT", Recursive = true };
    private static readonly Option<string?> TlsFolder = new("--tls-dir") { Description = "where nk cert has put ca.pem and the certificates (NETKERNEL_TLS_DIR, .)", HelpName = "DIR", Recursive = true };
    private static readonly Option<string?> TlsName = new("--tls-name") { Description = "which certificate in it (NETKERNEL_TLS_NAME, operator)", HelpName = "NAME", Recursive = true };

    private static readonly Option<string> Format = MakeFormat();

    /// <summary>Runs a command line. Data goes to standard output, everything else to standard error.</summary>
    public static int Run(string[] arguments)
    {
        try
        {
            // What follows "--" is the program's and nobody else's to look at.
            int cut = Array.IndexOf(arguments, "--");
            cut = cut > 0 && arguments[..cut].Contains("run") ? cut : -1;
            string[] program = cut < 0 ? [] : arguments[(cut + 1)..];
            ParseResult result = Build(program).Parse(cut < 0 ? arguments : arguments[..cut]);
            if (result.Errors.Count > 0)
            {
                throw CliException.Usage($"{Complaint(result)} (nk {Path(result)}--help lists what there is)");
            }

            return result.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
        }
        catch (CliException e)
        {
            Console.Error.WriteLine("nk: " + e.Message.ReplaceLineEndings(" "));
            return e.Code;
        }
        catch (IOException e) when (e.HResult == 32)
        {
            return ExitCode.Failure; // whoever read our output has gone (head)
        }
        catch (Exception e) when (Environment.GetEnvironmentVariable("NETKERNEL_DEBUG") is null)
        {
            Console.Error.WriteLine($"nk: {e.Message.ReplaceLineEndings(" ")} ({e.GetType().Name}; NETKERNEL_DEBUG=1 shows where)");
            return ExitCode.Failure;
        }
    }

    internal static RootCommand Build(string[] program)
    {
        var root = new RootCommand("NetKernel: the network stack as a service");
        root.Options.Add(RunDirectory);
        root.Options.Add(Instance);
        root.Options.Add(Address);
        root.Options.Add(TlsFolder);
        root.Options.Add(TlsName);
        root.Subcommands.Add(Up());
        var purge = new Option<bool>("--purge") { Description = "also forget what is declared, where --state-dir keeps it" };
        root.Subcommands.Add(Command("down", "end everything and remove every trace", [purge], parse => UpDown.Down(Where(parse, local: true), parse.GetValue(Instance), parse.GetValue(purge))));
        root.Subcommands.Add(WithFormat("status", "the instance, its mode and parts, and what you are to it (nk status -o wide)", (parse, format) => StatusCommand.Run(Where(parse), format)));
        root.Subcommands.Add(RunCommand(program));
        root.Subcommands.Add(Guest());
        root.Subcommands.Add(Nsm());
        root.Subcommands.Add(Tenant());
        root.Subcommands.Add(Policy());
        root.Subcommands.Add(Conn());
        root.Subcommands.Add(Capture());
        root.Subcommands.Add(Proc());
        root.Subcommands.Add(Apply());
        root.Subcommands.Add(WithFormat("export", "what is declared, as nk apply takes it", (parse, format) => ApplyCommand.Export(Where(parse), format == "table" ? "yaml" : format)));
        root.Subcommands.Add(Audit());
        root.Subcommands.Add(Top());
        root.Subcommands.Add(Usage());
        root.Subcommands.Add(Certificate());
        root.Subcommands.Add(Completion());
        root.Subcommands.Add(Manual(root));
        root.Subcommands.Add(Stat());
        root.Subcommands.Add(WithFormat("doctor", "say whether this machine is fit, and how to mend what is not", (parse, format) => Doctor.Run(Where(parse, local: true), format)));
        var keep = new Option<bool>("--keep-logs") { Description = "leave the temporary folder for a look" };
        root.Subcommands.Add(Command("demo", "run unmodified programs through NetKernel and check what comes out", [keep], parse => Demo.DemoRun.Run(parse.GetValue(keep))));
        return root;
    }

    private static Command Up()
    {
        var mode = new Option<string?>("--mode") { Description = "bridge (root), host (no privileges needed), or private (root; for tests)", HelpName = "MODE" };
        mode.AcceptOnlyFromAmong("bridge", "host", "private");
        var loops = new Option<int?>("--loops") { Description = "switching loops of CoreEngine, 1 to 8", HelpName = "N" };
        var huge = new Option<string?>("--hugepages") { Description = "auto or off" };
        var shared = new Option<string?>("--shared-memory") { Description = "connections between guests by shared memory: on or off" };
        var placement = new Option<string?>("--placement") { Description = "spread (over all CPUs), saving (NetKernel and guests' programs on one), or CPUs for CoreEngine and NSMs, as 0-1", HelpName = "PLACEMENT" };
        huge.AcceptOnlyFromAmong("auto", "off");
        shared.AcceptOnlyFromAmong("on", "off");
        var subnet4 = new Option<string?>("--subnet4") { Description = "IPv4 subnet of the guests (198.18.0.0/16)", HelpName = "NET" };
        var subnet6 = new Option<string?>("--subnet6") { Description = "IPv6 subnet of the guests (2001:2::/64)", HelpName = "NET" };
        var state = new Option<string?>("--state-dir") { Description = "keep what is declared here, also after nk down (the run directory, which goes)", HelpName = "DIR" };
        var listen = new Option<string?>("--listen") { Description = "serve the API here too, to clients with a certificate (--tls-dir)", HelpName = "ADDRESS:PORT" };
        var metrics = new Option<string?>("--metrics") { Description = "serve /metrics for Prometheus here, to whoever can reach it, as 127.0.0.1:9464", HelpName = "ADDRESS:PORT" };
        var otlp = new Option<string?>("--otlp-endpoint") { Description = "send metrics and traces by OTLP, as http://127.0.0.1:4317", HelpName = "URL" };
        var protocol = new Option<string?>("--otlp-protocol") { Description = "grpc or http/protobuf (grpc)", HelpName = "NAME" };
        protocol.AcceptOnlyFromAmong("grpc", "http/protobuf");
        var log = new Option<string?>("--log-format") { Description = "lines of log/nkd.log: json or text (json)", HelpName = "FORMAT" };
        log.AcceptOnlyFromAmong("json", "text");
        var retention = new Option<string?>("--usage-retention") { Description = "how long usage is kept in steps of 10 s, 1 min and 1 h (2h,7d,400d)", HelpName = "TIMES" };
        var config = new Option<string?>("--config") { Description = "nkd's settings (/etc/netkernel/nkd.conf, if there is one)", HelpName = "FILE" };
        return Command("up", "start NetKernel: CoreEngine, and one NSM named kernel0; or take over what runs", [mode, loops, huge, shared, placement, subnet4, subnet6, state, listen, metrics, otlp, protocol, log, retention, config], parse => UpDown.Up(
            parse.GetValue(RunDirectory), parse.GetValue(Instance),
            [
                ("--mode", parse.GetValue(mode)), ("--loops", parse.GetValue(loops)?.ToString(System.Globalization.CultureInfo.InvariantCulture)),
                ("--hugepages", parse.GetValue(huge)), ("--shared-memory", parse.GetValue(shared)), ("--placement", parse.GetValue(placement)), ("--subnet4", parse.GetValue(subnet4)), ("--subnet6", parse.GetValue(subnet6)),
                ("--state-dir", parse.GetValue(state)), ("--listen", parse.GetValue(listen)), ("--config", parse.GetValue(config)), ("--tls-dir", parse.GetValue(TlsFolder)),
                ("--metrics", parse.GetValue(metrics)), ("--otlp-endpoint", parse.GetValue(otlp)), ("--otlp-protocol", parse.GetValue(protocol)), ("--log-format", parse.GetValue(log)),
                ("--usage-retention", parse.GetValue(retention)),
            ]));
    }

    private static Command RunCommand(string[] program)
    {
        var guest = new Option<string>("--guest") { Description = "the guest to run in; made when it does not exist", Required = true, HelpName = "NAME" };
        var nsm = new Option<string?>("--nsm") { Description = "the NSM of a new guest", HelpName = "NAME" };
        var tenant = new Option<string?>("--tenant") { Description = "the tenant of a new guest (default)", HelpName = "NAME" };
        var uncovered = new Option<bool>("--allow-uncovered") { Description = "run it although the guest library cannot be loaded into it; it has no network then" };
        var loopback = new Option<string>("--loopback")
        {
            Description = "native (127.0.0.0/8 and ::1 stay in the guest), or netkernel (for tests; private mode only)",
            HelpName = "WHERE",
            DefaultValueFactory = _ => "native",
        };
        loopback.AcceptOnlyFromAmong("native", "netkernel");
        var rest = new Argument<string[]>("program") { Description = "-- PROGRAM [ARGS...]", Arity = ArgumentArity.ZeroOrMore };
        DnsOptions dns = new();
        Command command = Command("run", "run a program in a guest: nk run --guest NAME -- PROGRAM [ARGS...]", [guest, nsm, tenant, .. dns.All, uncovered, loopback], parse =>
            RunProgram.Run(
                Where(parse, local: true), new Guest { Name = parse.GetValue(guest)!, Nsm = parse.GetValue(nsm) ?? "", Tenant = parse.GetValue(tenant) ?? "", Dns = dns.Of(parse) },
                parse.GetValue(uncovered),
                parse.GetValue(loopback) == "netkernel",
                [.. parse.GetValue(rest) ?? [], .. program]));
        command.Arguments.Add(rest);
        return command;
    }

    private static Command Conn()
    {
        var group = new Command("conn", "connections");
        var guest = new Option<string?>("--guest") { Description = "of this guest only", HelpName = "NAME" };
        var nsm = new Option<string?>("--nsm") { Description = "through this NSM only", HelpName = "NAME" };
        Command list = WithFormat("list", "the connection table, like ss", (parse, format) => Lists.Connections(Where(parse), format, parse.GetValue(guest), parse.GetValue(nsm)));
        list.Options.Add(guest);
        list.Options.Add(nsm);
        group.Subcommands.Add(list);
        return group;
    }

    private static Command Capture()
    {
        var guest = new Option<string>("--guest") { Description = "whose packets", Required = true, HelpName = "NAME" };
        var port = new Option<ushort>("--port") { Description = "only TCP and UDP from or to this port", HelpName = "PORT" };
        var file = new Option<string>("--write", "-w") { Description = "the file, for tshark and tcpdump; - is standard output", Required = true, HelpName = "FILE" };
        var count = new Option<ulong>("--count") { Description = "end after so many packets", HelpName = "N" };
        var duration = new Option<string?>("--duration") { Description = "end after this time, as 90s or 5m (60s; 1h at most)", HelpName = "TIME" };
        return Command("capture", "write a guest's packets at its NSM's interface into a file (root; bridge mode)", [guest, port, file, count, duration], parse => CaptureCommand.Run(
            Where(parse),
            new CaptureRequest { Guest = parse.GetValue(guest)!, Port = parse.GetValue(port), DurationSeconds = Moving.Seconds("--duration", parse.GetValue(duration)) },
            parse.GetValue(file)!, parse.GetValue(count)));
    }

    private static Command Proc()
    {
        var group = new Command("proc", "programs");
        var guest = new Option<string?>("--guest") { Description = "of this guest only", HelpName = "NAME" };
        Command list = WithFormat("list", "programs in guests: accelerated or not, and why not", (parse, format) => ProcessList.Run(Where(parse), format, parse.GetValue(guest)));
        list.Options.Add(guest);
        group.Subcommands.Add(list);
        return group;
    }

    private static Command Stat()
    {
        var watch = new Option<bool>("--watch", "-w") { Description = "again every second, until Ctrl-C" };
        Command stat = WithFormat("stat", "loops, NQE/s, bytes/s, doorbells; per guest and per NSM", (parse, format) => StatCommand.Run(Where(parse), format, parse.GetValue(watch)));
        stat.Options.Add(watch);
        return stat;
    }

    private static string Where(ParseResult parse, bool local = false)
    {
        string? instance = parse.GetValue(Instance);
        if ((parse.GetValue(Address) ?? Environment.GetEnvironmentVariable("NETKERNEL_ADDRESS")) is { Length: > 0 } address)
        {
            return local
                ? throw CliException.Usage("this works on the machine that nkd runs on only: leave out --address (and NETKERNEL_ADDRESS)")
                : Remote.Text(
                    address, parse.GetValue(TlsFolder) ?? Environment.GetEnvironmentVariable("NETKERNEL_TLS_DIR") ?? ".",
                    parse.GetValue(TlsName) ?? Environment.GetEnvironmentVariable("NETKERNEL_TLS_NAME") ?? "operator");
        }

        return instance is not null && Names.Problem("instance", instance) is { } problem
            ? throw CliException.Usage(problem)
            : Places.RunDirectory(parse.GetValue(RunDirectory), instance);
    }

    private static Argument<string> Name(string what) => new("name") { Description = $"the {what}'s name: 1 to {Names.MaxLength} of a-z, 0-9, '-'" };

    private static Command Simple(string name, string description, Func<ParseResult, int> action) => Command(name, description, [], action);

    private static Command WithFormat(string name, string description, Func<ParseResult, string, int> action)
    {
        Command command = Command(name, description, [], parse => action(parse, parse.GetValue(Format)!));
        command.Options.Add(Format);
        return command;
    }

    private static Command Command(string name, string description, Option[] options, Func<ParseResult, int> action)
    {
        var command = new Command(name, description);
        foreach (Option option in options)
        {
            command.Options.Add(option);
        }

        command.SetAction(action);
        return command;
    }

    private static Option<string> MakeFormat()
    {
        var format = new Option<string>("--output", "-o") { Description = "table, wide, json or yaml", HelpName = "FORMAT", DefaultValueFactory = _ => "table" };
        format.AcceptOnlyFromAmong(Listing.Formats);
        return format;
    }

    // A word that nobody knows says more than what is missing because of it.
    private static string Complaint(ParseResult result) => result.UnmatchedTokens.Count > 0
        ? $"there is no '{result.UnmatchedTokens[0]}' here"
        : WrongType().Match(result.Errors[0].Message) is { Success: true } wrong
            ? $"{wrong.Groups["option"].Value} {wrong.Groups["value"].Value}: it is {(wrong.Groups["type"].Value == "Boolean" ? "true or false" : "a whole number")}"
        : string.Join(' ', result.Errors[0].Message.TrimEnd('.').Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));

    // What the parser says of numbers that are none names .NET's types.
    [GeneratedRegex(@"^Cannot parse argument '(?<value>[^']*)' for (option|command) '(?<option>[^']*)' as expected type '(System\.Nullable`1\[)?System\.(?<type>\w+)")]
    private static partial Regex WrongType();

    private static string Path(ParseResult result)
    {
        var words = new List<string>();
        for (CommandResult? command = result.CommandResult; command?.Parent is not null; command = command.Parent as CommandResult)
        {
            words.Insert(0, command.Command.Name);
        }

        return string.Concat(words.Select(word => word + " "));
    }
}
