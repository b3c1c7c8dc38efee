using System.CommandLine;
using System.Globalization;
using System.Text;

namespace NetKernel.Cli.Commands;

/// <summary>nk(1), out of the same definitions as --help: man(7) source.</summary>
internal static class ManPage
{
    public static string Of(RootCommand root, string version)
    {
        var page = new StringBuilder();
        page.Append(CultureInfo.InvariantCulture, $".TH NK 1 \"\" \"NetKernel {version}\" \"User Commands\"\n.SH NAME\nnk \\- {Text(root.Description!)}\n");
        page.Append(".SH SYNOPSIS\n.B nk\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\nnk speaks to nkd(8), NetKernel's control plane, and runs programs in guests. ");
        page.Append("Data goes to standard output, messages to standard error.\n.SH OPTIONS OF ALL COMMANDS\n");
        Options(page, root);
        page.Append(".SH COMMANDS\n");
        foreach (Command command in root.Subcommands)
        {
            Commands(page, command, "nk");
        }

        page.Append(".SH EXIT STATUS\n");
        foreach ((int code, string meaning) in ExitCode.Meanings)
        {
            page.Append(CultureInfo.InvariantCulture, $".TP\n.B {code}\n{Text(meaning)}\n");
        }

        page.Append(".SH EXAMPLES\n.nf\nnk up\nnk guest create web \\-\\-limit\\-send 125M\nnk run \\-\\-guest web \\-\\- nginx \\-g 'daemon off;'\nnk conn list \\-\\-guest web\nnk down\n.fi\n");
        page.Append(".SH SEE ALSO\n.BR nkd (8)\n");
        return page.ToString();
    }

    private static void Commands(StringBuilder page, Command command, string path)
    {
        if (command.Hidden)
        {
            return;
        }

        path = path + " " + command.Name;
        if (command.Subcommands.Count == 0)
        {
            string arguments = string.Concat(command.Arguments.Select(argument => " \\fI" + Text(argument.Name.ToUpperInvariant()) + "\\fR"));
            page.Append(CultureInfo.InvariantCulture, $".SS {Text(path)}{arguments}\n{Text(Sentence(command.Description))}\n");
            foreach (Argument argument in command.Arguments.Where(argument => !string.IsNullOrEmpty(argument.Description)))
            {
                page.Append(CultureInfo.InvariantCulture, $".TP\n.I {Text(argument.Name.ToUpperInvariant())}\n{Text(argument.Description!)}\n");
            }

            Options(page, command);
        }

        foreach (Command inner in command.Subcommands)
        {
            Commands(page, inner, path);
        }
    }

    private static void Options(StringBuilder page, Command command)
    {
        foreach (Option option in command.Options.Where(option => !option.Hidden))
        {
            string names = string.Join(", ", new[] { option.Name }.Concat(option.Aliases.Where(alias => alias is not ("-?" or "/?" or "/h"))).Select(name => $"\\fB{Text(name)}\\fR"));
            string value = option.ValueType == typeof(bool) || option.Name is "--help" or "--version" ? "" : $" \\fI{Text(option.HelpName ?? "VALUE")}\\fR";
            page.Append(CultureInfo.InvariantCulture, $".TP\n{names}{value}\n{Text(option.Description ?? "")}\n");
        }
    }

    private static string Sentence(string? text) => string.IsNullOrEmpty(text) ? "" : char.ToUpperInvariant(text[0]) + text[1..] + ".";

    /// <summary>Text whose backslashes, hyphens and leading dots mean themselves.</summary>
    private static string Text(string text)
    {
        string escaped = text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal);
        return escaped.Length > 0 && escaped[0] is '.' or '\'' ? "\\&" + escaped : escaped;
    }
}
