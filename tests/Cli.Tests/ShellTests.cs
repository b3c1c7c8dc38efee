using System.Diagnostics;

namespace NetKernel.Cli.Tests;

/// <summary>Completion as the shells themselves do it, and the manual page as groff reads it. nk is on the PATH as a script.</summary>
public sealed class ShellTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nk-shells-").FullName;

    public ShellTests()
    {
        string nk = Path.Combine(_folder, "nk");
        File.WriteAllText(nk, $"#!/bin/sh\nexec dotnet '{Path.Combine(AppContext.BaseDirectory, "nk.dll")}' \"$@\"\n");
        File.SetUnixFileMode(nk, (UnixFileMode)0x1ED); // 0755
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("nk gue", "guest")]
    [InlineData("nk guest c", "create")]
    [InlineData("nk guest create web --limit-s", "--limit-send")]
    [InlineData("nk nsm list -o y", "yaml")]
    public void Every_shell_completes(string line, string expected)
    {
        string words = line, count = (line.Split(' ').Length - 1).ToString(System.Globalization.CultureInfo.InvariantCulture);
        string[] bash = Lines("bash", "--norc", "-c", $"source <(nk completion bash); COMP_LINE='{line}' COMP_POINT={line.Length} COMP_WORDS=({words}) COMP_CWORD={count}; _nk; printf '%s\\n' \"${{COMPREPLY[@]}}\"");
        Assert.Contains(expected, bash);
        string[] fish = Lines("fish", "--no-config", "-c", $"nk completion fish | source; complete -C '{line}'");
        Assert.Contains(expected, fish.Select(found => found.Split('\t')[0]));

        // compadd belongs to the line editor: in its place stands one that prints what it is given.
        string[] zsh = Lines(
            "zsh", "-f", "-c",
            $"autoload -Uz compinit; compinit -u -D; source <(nk completion zsh); print \"for nk: $_comps[nk]\"; compadd() {{ shift; print -l -- \"$@\" }}; words=({words}); CURRENT=$(({count} + 1)); _nk");
        Assert.Contains("for nk: _nk", zsh);
        Assert.Contains(expected, zsh);
    }

    [Fact]
    public void The_manual_has_every_command_and_groff_finds_no_fault()
    {
        NkProcess manual = NkProcess.Run("manual");
        string file = Path.Combine(_folder, "nk.1");
        File.WriteAllText(file, manual.Output);
        string text = string.Join('\n', Lines("groff", "-man", "-ww", "-Tascii", "-P-cbou", file));
        foreach (string command in new[] { "nk up", "nk guest create NAME", "nk nsm update NAME", "nk policy list", "nk conn list", "nk completion SHELL", "--limit-send RATE", "EXIT STATUS" })
        {
            Assert.Contains(command, text);
        }
    }

    // Fails when the program does, or says anything on standard error.
    private string[] Lines(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        start.Environment["PATH"] = $"{_folder}:{Environment.GetEnvironmentVariable("PATH")}";
        start.Environment["HOME"] = _folder;
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal("", error.Result);
        Assert.Equal(0, process.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }
}
