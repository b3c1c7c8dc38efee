using System.Diagnostics;

namespace NetKernel.Cli.Tests;

/// <summary>nk as it is run by a user, with a run directory where nothing is.</summary>
internal sealed record NkProcess(int ExitCode, string Output, string Error)
{
    public string[] ErrorLines => Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public static NkProcess Run(params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "nk.dll"));
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment["NETKERNEL_RUN_DIR"] = $"/tmp/nk-nowhere-{Environment.ProcessId}";
        _ = start.Environment.Remove("NETKERNEL_INSTANCE");
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new NkProcess(process.ExitCode, output, error.Result);
    }
}
