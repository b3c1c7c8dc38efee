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

    /// <summary>The columns: which way a program in a guest reaches its peer.</summary>
    private static readonly string[] Columns = ["kernel", "mtcp", "shared memory"];

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
        CommandResult open = nk.Outside.Run(TimeSpan.FromSeconds(10), "sh", "-c", "echo 3 > /proc/sys/net/ipv4/tcp_fastopen"); // its listeners may take data in SYNs
        Assert.True(open.Succeeded, open.ToString());
        CommandResult native = nk.Outside.Run(TimeSpan.FromSeconds(120), [.. command, nk.Outside.Ipv4, port]);
        Assert.True(native.Succeeded, native.ToString());
        return (native.Output, InGuest(nk, "a", command, nk.Outside.Ipv4, port));
    }

    private static string InGuest(NkInstance nk, string guest, string[] command, string address, string port)
    {
        CommandResult result = nk.Run(guest, TimeSpan.FromSeconds(120), [.. command, address, port]);
        Assert.True(result.Succeeded, result.ToString());
        return result.Output;
    }

    /// <summary>What a program prints natively, and for each of <see cref="Columns"/> or the first of them.</summary>
    private static string[] RunAll(NkInstance nk, string program, string port, bool all)
    {
        (string native, string kernel) = Run(nk, program, port);
        if (!all)
        {
            return [native, kernel];
        }

        string[] command = [Programs.Compile(nk, program)];
        using GuestProcess outside = nk.Outside.Start("python3", Programs.Path("peer.py"), "0.0.0.0", port);
        Programs.AwaitLine(outside, "ready");
        string mtcp = InGuest(nk, "compatm", command, nk.Outside.Ipv4, port);
        using GuestProcess guest = nk.Start("b", "python3", Programs.Path("peer.py"), "0.0.0.0", port);
        Programs.AwaitLine(guest, "ready");
        return [native, kernel, mtcp, InGuest(nk, "a", command, nk.Ipv4("b"), port)];
    }

    /// <summary>The whole document, or one whose tables have the first column only.</summary>
    public static string Write(NkInstance nk, bool all)
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Compatibility

            What a program in a guest gets, call by call. This file is made by the test `CompatibilityTests` from what programs printed, natively and through NetKernel, on
            Linux {KernelVersion()}; the test fails when it is out of date. To make it anew:

                NK_WRITE_COMPATIBILITY=1 ./nk test Compatibility

            To add rows: see `tests/EndToEnd.Tests/Compatibility.cs`.

            "honoured": with the effect that it has in the kernel. "as the kernel: E...": the kernel refuses it, too. "refused: E...": the kernel would take it, NetKernel does not.
            "no effect": taken, and what a program can see of it is not what the kernel's does.

            A column is the way that a connection goes: by a kernel NSM or one of kind mtcp to a machine outside, or by shared memory to another guest (which a guest of any NSM
            does; names and rights are its own NSM's then, here a kernel NSM's).


            """);
        if (all)
        {
            Assert.True(nk.Nk("nsm", "create", "compat", "--kind", "mtcp").Succeeded);
            nk.CreateGuest("compatm", "compat");
        }

        foreach (IGrouping<string, Row[]> area in Sources.SelectMany(source => Together(nk, source.Name, source.Port, all)).GroupBy(rows => rows[0].Area))
        {
            text.Append(CultureInfo.InvariantCulture, $"## {char.ToUpperInvariant(area.Key[0])}{area.Key[1..]}\n\n| call or option | {string.Join(" | ", Columns)} |\n|---|---|---|---|\n");
            foreach (Row[] rows in area)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {rows[0].Call} | {string.Join(" | ", rows.Skip(1).Select((row, column) => Verdict(rows[0], row, strict: column == 0)))} |\n");
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

    private static IEnumerable<Row[]> Together(NkInstance nk, string program, string port, bool whole)
    {
        IReadOnlyList<Row>[] all = [.. RunAll(nk, program, port, whole).Select(Rows)];
        Assert.All(all, rows => Assert.Equal(all[0].Select(row => (row.Area, row.Call)), rows.Select(row => (row.Area, row.Call))));
        return all[0].Select((_, i) => all.Select(rows => rows[i]).ToArray());
    }

    private static string Verdict(Row native, Row guest, bool strict)
    {
        bool refused = IsErrno(guest.Result);
        Assert.True(native.Result == "OK" || IsErrno(native.Result), $"{native.Call}: {native.Result} in the kernel");
        Assert.True(!strict || refused || native.Result == guest.Result, $"{native.Call}: {native.Result} in the kernel, {guest.Result} in a guest");
        return native.Result == guest.Result ? refused ? $"as the kernel: {guest.Result}" : "honoured"
            : refused ? $"refused: {guest.Result}" : guest.Result == "OK" ? $"taken (the kernel: {native.Result})" : "no effect";
    }

    private static bool IsErrno(string result) => result.Length > 2 && result[0] == 'E' && result.All(c => char.IsAsciiLetterUpper(c) || char.IsAsciiDigit(c));
}
