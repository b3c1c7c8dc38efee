using System.CommandLine;
using NetKernel.Cli.Commands;

namespace NetKernel.Cli;

/// <summary>What other programs ask nk for: scripts for shells, the manual page. Both follow from the commands' definitions.</summary>
internal static partial class CommandLine
{
    // What is to be completed is asked of nk itself ("[suggest:POSITION]" is System.CommandLine's directive), so that no script knows any command.
    private const string Bash = """
        _nk() {
            local IFS=$'\n'
            COMPREPLY=($(compgen -W "$(nk "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
        }
        complete -F _nk nk

        """;

    private const string Zsh = """
        #compdef nk
        _nk() {
            local line="${words[1,CURRENT]}"
            compadd -- ${(f)"$(nk "[suggest:${#line}]" "$line" 2>/dev/null)"}
        }
        if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nk "$@"; else compdef _nk nk; fi

        """;

    private const string Fish = """
        function __nk_complete
            set -l line (commandline -cp)
            nk "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c nk -f -a '(__nk_complete)'

        """;

    private static Command Completion()
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        Command completion = Command("completion", "a script for the shell: source <(nk completion bash); fish: nk completion fish | source", [], parse =>
        {
            Console.Out.Write(parse.GetValue(shell) switch { "zsh" => Zsh, "fish" => Fish, _ => Bash });
            return ExitCode.Success;
        });
        completion.Arguments.Add(shell);
        return completion;
    }

    private static Command Manual(RootCommand root)
    {
        Command manual = Command("manual", "this manual page: nk manual | man -l -", [], _ =>
        {
            Console.Out.Write(ManPage.Of(root, typeof(CommandLine).Assembly.GetName().Version!.ToString(3)));
            return ExitCode.Success;
        });
        return manual;
    }
}
