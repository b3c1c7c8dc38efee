using NetKernel.Cli.Testbed;
using NetKernel.Testing;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// CPython's own test modules, which use 127.0.0.1 and ::1, with their loopback carried by NetKernel: no test that passes natively fails, but for
/// programs/cpython-exceptions.txt. The native run is made at the same time, in a namespace that has lo and nothing else.
/// </summary>
[Collection(PrivateCollection.Name)]
public sealed class CPythonSuiteTests(PrivateFixture fixture, CPythonResults results) : IClassFixture<CPythonResults>
{
    private const string Python = "/usr/bin/python3.11"; // the one whose test package ./nk deps installs

    private static readonly TimeSpan Time = TimeSpan.FromMinutes(30); // a busy machine takes ten times as long as an idle one

    /// <summary>Modules that run always, and those that take minutes and run with NK_LONG=1.</summary>
    private static readonly string[] Short =
    [
        "test_socket", "test_select", "test_selectors", "test_poll", "test_epoll", "test_socketserver", "test_asyncore", "test_asynchat", "test_httplib",
        "test_httpservers", "test_urllib2_localnet", "test_ftplib", "test_poplib", "test_imaplib", "test_smtplib", "test_xmlrpc", "test_ssl",
        "test_asyncio.test_sendfile", "test_asyncio.test_server", "test_asyncio.test_sock_lowlevel", "test_asyncio.test_sslproto", "test_asyncio.test_streams",
        "test_asyncio.test_buffered_proto",
    ];

    private static readonly string[] Long = ["test_asyncio", "test_multiprocessing_spawn", "test_multiprocessing_fork"];

    private static bool IsLong => Environment.GetEnvironmentVariable("NK_LONG") == "1";

    /// <summary>The modules over the kernel NSM; with NK_LONG=1 all of them over both.</summary>
    public static TheoryData<string, string> Modules
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string kind in (string[])["kernel", .. IsLong ? ["mtcp"] : Array.Empty<string>()])
            {
                foreach (string module in (string[])[.. Short, .. IsLong ? Long : []])
                {
                    data.Add(module, kind);
                }
            }

            return data;
        }
    }

    [RootTheory]
    [MemberData(nameof(Modules))]
    public void No_test_fails_that_passes_natively(string module, string kind)
    {
        results.Table.Add(module, kind, "**failed**"); // unless it comes to its end
        CPythonExceptions exceptions = CPythonExceptions.Of(module);
        (Dictionary<string, string> native, Dictionary<string, string> ours) = Run(kind, module, ["--without", .. exceptions.LeftOut]);
        int passed = native.Count(test => test.Value == "ok" && ours.GetValueOrDefault(test.Key) == "ok"), of = native.Count(test => test.Value == "ok"), alone = 0;
        string[] failed = [.. native.Where(test => test.Value == "ok" && ours.GetValueOrDefault(test.Key) != "ok" && !exceptions.Fails.Contains(test.Key)).Select(test => test.Key)];
        for (int turn = 0; turn < 3 && failed.Length > 0; turn++)
        {
            // Once more alone, and again: some measure time, and fail natively too on a busy machine.
            alone = Math.Max(alone, failed.Length);
            (native, Dictionary<string, string> again) = Run(kind, module, failed);
            failed = [.. failed.Where(test => native.GetValueOrDefault(test) == "ok" && again.GetValueOrDefault(test) != "ok")];
        }

        Assert.Empty(failed);
        Assert.Contains("ok", native.Values);
        Assert.DoesNotContain(exceptions.Fails, test => ours.GetValueOrDefault(test) is null or "ok"); // true no longer: take the line out
        results.Table.Add(module, kind, $"{passed + alone} of {of}{(alone > 0 ? $", {alone} of them when run again alone" : "")}");
    }

    private (Dictionary<string, string> Native, Dictionary<string, string> Ours) Run(string kind, string module, IEnumerable<string> arguments)
    {
        (CommandResult native, CommandResult ours) = fixture.RunBoth(kind, Time, [Python, Programs.Path("cpython_suite.py"), module, .. arguments]);
        return (States(native), States(ours));
    }

    private static Dictionary<string, string> States(CommandResult result)
    {
        Assert.True(result.Succeeded, result.ToString());
        string[] lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal("end", lines[^1]);
        return lines[..^1].Select(line => line.Split(' ', 2)).ToDictionary(words => words[1], words => words[0]);
    }
}

/// <summary>What all modules came to.</summary>
public sealed class CPythonResults : IDisposable
{
    internal ResultTable Table { get; } = new(
        "programs-cpython.md",
        """
        # CPython's own tests, module by module

        The modules of Python 3.11's test package that use sockets, with their 127.0.0.1 and ::1 carried by NetKernel (`CPythonSuiteTests`), over the NSMs of both kinds. A cell says how many of the tests that
        pass natively pass through NetKernel; the native run is made at the same time. To make this table anew, in an hour or less:

            NK_LONG=1 NK_WRITE_DOCS=$PWD/docs ./nk test CPythonSuite
        """,
        "kernel", "mtcp");

    public void Dispose() => Table.Write("\n## Exceptions\n\nOf both kinds, in the words of `tests/EndToEnd.Tests/programs/cpython-exceptions.txt`:\n\n"
        + string.Concat(CPythonExceptions.Lines.Select(line => $"* {line}\n")));
}

/// <summary>What programs/cpython-exceptions.txt says of a module.</summary>
internal sealed record CPythonExceptions(string[] Fails, string[] LeftOut)
{
    /// <summary>All that is known, a line each: fails or left-out, the test's name, a colon, the reason.</summary>
    public static string[] Lines { get; } = [.. File.ReadLines(Programs.Path("cpython-exceptions.txt")).Where(line => line.Length > 0 && line[0] != '#')];

    public static CPythonExceptions Of(string module)
    {
        return new CPythonExceptions(Names("fails"), Names("left-out"));

        string[] Names(string state) =>
        [
            .. Lines.Select(line => line.Split((char[])[' ', ':'], 3, StringSplitOptions.RemoveEmptyEntries))
                .Where(words => words[0] == state && words[1].StartsWith($"test.{module}.", StringComparison.Ordinal))
                .Select(words => words[1]),
        ];
    }
}
