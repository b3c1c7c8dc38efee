using System.Globalization;
using System.Text;

namespace NetKernel.ControlPlane.Configuration;

/// <summary>What nkd --help, nkd(8) and nkd.conf(5) say: all out of one table.</summary>
internal static class Manual
{
    /// <summary>Settings, which are flags, variables and lines of the file: those of <see cref="Setting.Names"/>, as a test holds.</summary>
    public static IEnumerable<(string Name, string Value, string Meaning)> Settings => Described.Where(setting => Setting.Names.Contains(setting.Name));

    private static readonly (string Name, string Value, string Meaning)[] Described =
    [
        ("mode", "MODE", "bridge (root), host (no privileges needed), or private (root; for tests)"),
        ("loops", "N", "switching loops of CoreEngine, 1 to 8 (1)"),
        ("hugepages", "auto|off", "huge pages for the guests' pools where there are some (auto)"),
        ("shared-memory", "on|off", "connections between guests of this host by shared memory (on)"),
        ("placement", "PLACEMENT", "spread (over all CPUs), saving (NetKernel and guests' programs on one), or CPUs for CoreEngine and NSMs, as 0-1 (spread)"),
        ("subnet4", "NET", "IPv4 subnet of the guests (198.18.0.0/16)"),
        ("subnet6", "NET", "IPv6 subnet of the guests (2001:2::/64)"),
        ("state-dir", "DIR", "where what is declared is kept (the run directory, which goes with nk down)"),
        ("listen", "ADDRESS:PORT", "serve the API here too, to clients with a certificate (nowhere)"),
        ("tls-dir", "DIR", "ca.pem, server.pem and server.key, as nk cert makes them (the current directory)"),
        ("engine-cpu", "N", "CoreEngine's quota of processor time in thousandths of a core (0: none)"),
        ("engine-memory", "BYTES", "CoreEngine's quota of memory in bytes (0: none)"),
        ("conn-rate", "N", "connections per second that a guest without a limit of its own may open while others are busy, 0: any number (2500)"),
        ("usage-retention", "TIMES", "how long usage is kept in steps of 10 s, 1 min and 1 h (2h,7d,400d)"),
        ("metrics", "ADDRESS:PORT", "serve the Prometheus page here (nowhere)"),
        ("otlp-endpoint", "URL", "send metrics and traces to this collector (none)"),
        ("otlp-protocol", "PROTOCOL", "how: grpc or http/protobuf (grpc)"),
        ("otlp-interval", "SECONDS", "how often, 1 to 3600 (30)"),
        ("log-format", "json|text", "lines of nkd.log (json)"),
    ];

    private static readonly (string Flag, string Value, string Meaning)[] Flags =
    [
        ("--run-dir", "DIR", "run directory (NETKERNEL_RUN_DIR; /run/netkernel)"),
        ("--instance", "NAME", "instance, when several run side by side (NETKERNEL_INSTANCE; nk)"),
        ("--bin-dir", "DIR", "where the other programs are (beside nkd)"),
        ("--config", "FILE", $"settings ({Setting.UsualFile}, if there is one)"),
        ("--daemon", "", "leave the terminal once everything is up"),
        ("--clean-up", "", "only remove what a killed nkd has left"),
        ("--help", "", "this list"),
        ("--manual", "", "the manual page: nkd --manual | man -l -"),
        ("--manual-conf", "", "nkd.conf(5), of the file of settings"),
    ];

    public static string Help
    {
        get
        {
            var text = new StringBuilder("usage: nkd [OPTIONS]\n\nNetKernel's control plane. Most people start it by nk up, or by systemd.\n\n");
            foreach ((string flag, string value, string meaning) in Flags)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {flag + " " + value,-28} {meaning}\n");
            }

            text.Append("\nSettings: a flag, a variable, or a line NAME = VALUE of the file\n\n");
            foreach ((string name, string value, string meaning) in Settings)
            {
                text.Append(CultureInfo.InvariantCulture, $"  {"--" + name + " " + value,-28} {meaning}\n");
            }

            return text.ToString();
        }
    }

    /// <summary>nkd(8), as man(7) has it.</summary>
    public static string Page(string version)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $".TH NKD 8 \"\" \"NetKernel {version}\" \"System Administration\"\n.SH NAME\nnkd \\- NetKernel's control plane\n");
        page.Append(".SH SYNOPSIS\n.B nkd\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\nnkd keeps what is declared, makes networks and guests, starts and watches CoreEngine and the NSMs, and serves the API. It may end at any time: ");
        page.Append("the data plane goes on, and the next nkd takes it over. nk down ends everything.\n.SH OPTIONS\n");
        foreach ((string flag, string value, string meaning) in Flags)
        {
            Item(page, flag, value, meaning);
        }

        page.Append(CultureInfo.InvariantCulture, $".SH SETTINGS\nA setting is a flag, a variable, or a line NAME = VALUE of {Setting.UsualFile}; the flag holds before the variable, the variable before the file. A wrong line is refused at the start.\n");
        foreach ((string name, string value, string meaning) in Settings)
        {
            Item(page, "--" + name, value, meaning + "; " + Setting.Variable(name));
        }

        page.Append(CultureInfo.InvariantCulture, $".SH FILES\n.I {Setting.UsualFile}\n.br\n.I /run/netkernel\n.br\n.I /var/lib/netkernel\n");
        page.Append(".SH SIGNALS\nSIGTERM ends nkd and nothing else. SIGINT ends everything, as nk down does. SIGHUP is ignored: settings are read at the start, and a restart disturbs no traffic.\n.SH EXIT STATUS\n0: ended by a signal. 1: it could not be done. 2: the command line or a setting is wrong.\n.SH SEE ALSO\n.BR nk (1),\n.BR nkd.conf (5)\n");
        return page.ToString();
    }

    /// <summary>nkd.conf(5), as man(7) has it.</summary>
    public static string ConfigurationPage(string version)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $".TH NKD.CONF 5 \"\" \"NetKernel {version}\" \"File Formats\"\n.SH NAME\nnkd.conf \\- settings of NetKernel's control plane\n");
        page.Append(CultureInfo.InvariantCulture, $".SH SYNOPSIS\n.I {Setting.UsualFile}\n.SH DESCRIPTION\nRead by\n.BR nkd (8)\nwhen it starts, if it is there; nk up \\-\\-config FILE reads another one. ");
        page.Append("Each line is empty or NAME = VALUE, a setting once; a # begins a remark. A variable of the environment (NETKERNEL_STATE_DIR for state\\-dir) goes before the file, a flag of nkd before both. ");
        page.Append("A line that is wrong is refused at the start, with its number. After a change: systemctl restart netkernel, which disturbs no traffic.\n.SH SETTINGS\nIn brackets what holds without the line.\n");
        foreach ((string name, string value, string meaning) in Settings)
        {
            Item(page, name, "= " + value, meaning);
        }

        page.Append(".SH EXAMPLE\n.nf\nstate\\-dir = /var/lib/netkernel\nlisten = 127.0.0.1:7443   # the API by mutual TLS\ntls\\-dir = /etc/netkernel/pki\nmetrics = 127.0.0.1:9464\n.fi\n.SH SEE ALSO\n.BR nkd (8),\n.BR nk (1)\n");
        return page.ToString();
    }

    private static void Item(StringBuilder page, string flag, string value, string meaning) => page.Append(
        CultureInfo.InvariantCulture, $".TP\n\\fB{flag.Replace("-", "\\-", StringComparison.Ordinal)}\\fR{(value.Length == 0 ? "" : $" \\fI{value}\\fR")}\n{meaning.Replace("-", "\\-", StringComparison.Ordinal)}\n");
}
