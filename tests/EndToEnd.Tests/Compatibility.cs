using System.Globalization;
using System.Text;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>
/// The table in docs/compatibility.md. Test programs print lines "compat: area | call | result", natively and through NetKernel; from both results follows what the
/// table says. To add rows: print such lines in a program that runs as "program ADDRESS PORT" beside peer.py, and name it in <see cref="Programs"/>.
/// </summary>
internal static class Compatibility
{
    /// <summary>The programs whose lines make the table, and a port for each.</summary>
    public static readonly IReadOnlyList<(string Name, string Port)> Sources = [("options.c", "7304"), ("flags.c", "7305"), ("groups.c", "7306")];

    public readonly record struct Row(string Area, string Call, string Result);

    /// <summary>The rows that a program printed.</summary>
    public static IReadOnlyList<Row> Rows(string output) =>
        [.. output.Split('\n').Where(line => line.StartsWith("compat: ", StringComparison.Ordinal)).Select(line => line[8..].Split(" | "))
            .Select(parts => new Row(parts[0], parts[1], parts[2]))];

    /// <summary>Runs a program natively on the machine outside, and in a guest, against the same peer.</summary>
    public static (string Native, string Guest) Run(NkInstance nk, string program, string port)
    {
        string[] command = program.EndsWith(".py", StringComparison.Ordinal) ? ["python3", Programs.Path(program)] : [Programs.Compile(nk, program)];
        using GuestProcess peer = nk.Outside.Start("python3", Programs.Path("peer.py"), "0.0.0.0", port);
        Programs.AwaitLine(peer, "ready");
        CommandResult native = nk.Outside.Run(TimeSpan.FromSeconds(120), [.. command, nk.Outside.Ipv4, port]);
        CommandResult guest = nk.Run("a", TimeSpan.FromSeconds(120), [.. command, nk.Outside.Ipv4, port]);
        Assert.True(native.Succeeded, native.ToString());
        Assert.True(guest.Succeeded, guest.ToString());
        return (native.Output, guest.Output);
    }

    /// <summary>The whole document.</summary>
    public static string Write(NkInstance nk)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Compatibility

            What a program in a guest gets, call by call. This file is made by the test `CompatibilityTests` from what programs printed, natively and through NetKernel, on
            Linux {KernelVersion()}; the test fails when it is out of date. To make it anew:

                NK_WRITE_COMPATIBILITY=1 ./nk test Compatibility

            To add rows: see `tests/EndToEnd.Tests/Compatibility.cs`.

            "honoured": with the effect that it has in the kernel. "as the kernel: E...": the kernel refuses it, too. "refused: E...": the kernel would take it, NetKernel does not.


            """);
        foreach (IGrouping<string, (Row Native, Row Guest)> area in Sources.SelectMany(source => Pairs(nk, source.Name, source.Port)).GroupBy(pair => pair.Native.Area))
        {
            text.Append(CultureInfo.InvariantCulture, $"## {char.ToUpperInvariant(area.Key[0])}{area.Key[1..]}\n\n| call or option | NSM: kernel |\n|---|---|\n");
            foreach ((Row native, Row guest) in area)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {native.Call} | {Verdict(native, guest)} |\n");
            }

            text.Append('\n');
        }

        text.Append("## Entry points of the libc\n\nEvery function of glibc 2.36 by which a socket can be touched, whatever the NSM.\n");
        foreach (var section in EntryPoints.Read().Where(entry => entry.Section.Length < 60).GroupBy(entry => entry.Section))
        {
            text.Append(CultureInfo.InvariantCulture, $"\n### {char.ToUpperInvariant(section.Key[0])}{section.Key[1..]}\n\n| function | |\n|---|---|\n");
            string[] covered = [.. section.Where(entry => entry.Reason is null).Select(entry => entry.Name)];
            if (covered.Length > 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {string.Join(", ", covered)} | covered |\n");
            }

            foreach ((_, string name, string? reason) in section.Where(entry => entry.Reason is not null))
            {
                text.Append(CultureInfo.InvariantCulture, $"| {name.Replace("*", "\\*", StringComparison.Ordinal)} | {reason} |\n");
            }
        }

        return text.ToString();
    }

    /// <summary>Major and minor number of the running kernel.</summary>
    public static string KernelVersion() => string.Join('.', File.ReadAllText("/proc/sys/kernel/osrelease").Split('.').Take(2));

    private static IEnumerable<(Row Native, Row Guest)> Pairs(NkInstance nk, string program, string port)
    {
        (string native, string guest) = Run(nk, program, port);
        IReadOnlyList<Row> expected = Rows(native), actual = Rows(guest);
        Assert.Equal(expected.Select(row => (row.Area, row.Call)), actual.Select(row => (row.Area, row.Call)));
        return expected.Zip(actual);
    }

    private static string Verdict(Row native, Row guest)
    {
        bool refused = IsErrno(guest.Result);
        Assert.True(native.Result == "OK" || IsErrno(native.Result), $"{native.Call}: {native.Result} in the kernel");
        Assert.True(refused || native.Result == guest.Result, $"{native.Call}: {native.Result} in the kernel, {guest.Result} in a guest");
        return native.Result != guest.Result ? $"refused: {guest.Result}" : refused ? $"as the kernel: {guest.Result}" : "honoured";
    }

    private static bool IsErrno(string result) => result.Length > 2 && result[0] == 'E' && result.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c));
}
