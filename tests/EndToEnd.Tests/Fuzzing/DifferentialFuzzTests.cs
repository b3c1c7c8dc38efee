using System.Diagnostics;
using System.Globalization;
using NetKernel.Cli.Testbed;
using Xunit.Abstractions;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>
/// Random sequences of socket calls by several processes and threads, natively and through NetKernel: the kernel is the oracle. docs/fuzzing.md.
/// </summary>
public sealed class DifferentialFuzzTests(FuzzFixture fixture, ITestOutputHelper output) : IClassFixture<FuzzFixture>
{
    private const int OrdinarySeeds = 60;
    private static readonly TimeSpan OrdinaryTime = TimeSpan.FromSeconds(60);

    /// <summary>The scripts that once found something; NK_FUZZ_SCRIPTS names a folder with others.</summary>
    public static TheoryData<string> Regressions => [.. Directory.GetFiles(Scripts, "*.script").Select(path => Path.GetFileNameWithoutExtension(path)).Order()];

    private static string Scripts => Environment.GetEnvironmentVariable("NK_FUZZ_SCRIPTS") is { Length: > 0 } folder ? folder : Path.Combine(AppContext.BaseDirectory, "regressions");

    [RootTheory]
    [MemberData(nameof(Regressions))]
    public void What_was_found_stays_mended(string name)
    {
        var script = Script.Parse(File.ReadAllText(Path.Combine(Scripts, name + ".script")));
        var judge = new Judge(fixture.Native);
        AssertSame(judge.Compare(script, fixture.Guests));
        AssertSame(judge.Compare(script, fixture.Direct));
        AssertSame(judge.Compare(script, fixture.Outside));
    }

    /// <summary>
    /// The seeds 1 to 60, or as many of them as fit into a minute; with NK_FUZZ_SECONDS so long, of fresh ones; NK_FUZZ_SEED says where to start, and
    /// alone it runs that one; NK_FUZZ_OUT is where differences are written.
    /// </summary>
    [RootFact]
    public void Random_scripts_do_the_same_natively_and_through_NetKernel()
    {
        int? seconds = Number("NK_FUZZ_SECONDS"), chosen = Number("NK_FUZZ_SEED");
        int seed = chosen ?? (seconds is null ? 1 : Random.Shared.Next(1_000_000, int.MaxValue / 2));
        TimeSpan time = seconds is int s ? TimeSpan.FromSeconds(s) : OrdinaryTime;
        var judge = new Judge(fixture.Native);
        List<string> found = [];
        int first = seed;
        long began = Stopwatch.GetTimestamp();
        do
        {
            Script script = Generator.Make(seed);
            Stage stage = (seed % 3) switch { 0 => fixture.Outside, 1 => fixture.Guests, _ => fixture.Direct };
            if (judge.Compare(script, stage) is { } difference)
            {
                found.Add(Report(seed, judge.Minimise(difference, stage, TimeSpan.FromMinutes(2))));
            }

            seed++;
        }
        while (Stopwatch.GetElapsedTime(began) < time && (seconds is not null || (chosen is null && found.Count == 0 && seed <= OrdinarySeeds)));
        output.WriteLine($"seeds {first} to {seed - 1}: {found.Count} differ, {judge.Unstable} that the kernel answers in several ways, {judge.Hasty} looked at twice");
        Assert.True(found.Count == 0, string.Join('\n', found.Take(5)));
        Assert.True(
            NkInstance.WaitFor(() => fixture.Nk.TrafficOf().Open == 0, TimeSpan.FromSeconds(20)), $"{fixture.Nk.TrafficOf().Open} sockets are left");
        Assert.All((string[])["a", "b", "c", "d"], guest => Assert.Equal("ready", fixture.Nk.StateOf(guest)));
        Assert.True(chosen is not null || DirectForm.Mapped(fixture.Nk) > 0, "nothing went in the direct form");
    }

    private static string Report(int seed, Difference difference)
    {
        string text = string.Create(CultureInfo.InvariantCulture, $"# seed {seed}, {difference.Stage}\n{difference}");
        if (Environment.GetEnvironmentVariable("NK_FUZZ_OUT") is { Length: > 0 } folder)
        {
            _ = Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{seed}.script")), text);
        }

        return text;
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out int number) ? number : null;

    private static void AssertSame(Difference? difference) => Assert.True(difference is null, difference?.ToString());
}
