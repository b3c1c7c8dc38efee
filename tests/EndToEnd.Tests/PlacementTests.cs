using NetKernel.Channel.Host;
using NetKernel.Cli.Testbed;

namespace NetKernel.EndToEnd.Tests;

/// <summary>nk up --placement: on which CPUs the parts and the programs run, asked of the kernel.</summary>
public sealed class PlacementTests
{
    [Fact]
    public void Saving_puts_the_parts_and_the_programs_on_one_cpu()
    {
        using NkInstance nk = NkInstance.Up("place", "--placement", "saving");
        nk.CreateGuest("a");
        int last = CpuList.Allowed().Max;
        Assert.Equal([last], CpusOf(nk.EnginePid));
        Assert.Equal([last], CpusOf(nk.NsmPid()));
        Assert.Equal([last], ProgramsCpus(nk));
        Assert.Equal(CpuList.Allowed(), CpusOf(nk.ControlPlanePid));
    }

    [Fact]
    public void A_list_is_for_the_parts_and_leaves_programs_where_they_are()
    {
        int first = CpuList.Allowed().Min;
        using NkInstance nk = NkInstance.Up("place", "--placement", $"{first}");
        nk.CreateGuest("a");
        Assert.Equal([first], CpusOf(nk.EnginePid));
        Assert.Equal([first], CpusOf(nk.NsmPid()));
        Assert.Equal(CpuList.Allowed(), ProgramsCpus(nk));
    }

    private static SortedSet<int> ProgramsCpus(NkInstance nk) => Parse(nk.Run("a", TimeSpan.FromSeconds(20), "cat", "/proc/self/status").Output.Split('\n'));

    private static SortedSet<int> CpusOf(int pid) => Parse(File.ReadAllLines($"/proc/{pid}/status"));

    private static SortedSet<int> Parse(string[] status) => CpuList.Parse(status.First(line => line.StartsWith("Cpus_allowed_list:", StringComparison.Ordinal)).Split(':')[1].Trim())!;
}
