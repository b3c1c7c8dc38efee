using System.Xml.Linq;

namespace NetKernel.Architecture.Tests;

/// <summary>ARCHITECTURE.md's table and the project files say the same.</summary>
public class ReferenceTests
{
    private static readonly Dictionary<string, string[]> Table = ReadTable();

    public static TheoryData<string> Projects()
    {
        var data = new TheoryData<string>();
        foreach (string project in Repository.Projects())
        {
            data.Add(Repository.Relative(project));
        }

        return data;
    }

    [Fact]
    public void The_table_has_lines_and_each_names_a_folder_that_exists()
    {
        Assert.NotEmpty(Table);
        Assert.All(Table.Keys, folder => Assert.True(Directory.Exists(Path.Combine(Repository.Root, folder)), folder));
        Assert.All(Table.Values.SelectMany(allowed => allowed), name => Assert.True(name == "any" || Table.ContainsKey(name), name));
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_references_only_what_its_line_allows(string project)
    {
        string folder = Repository.Folder(Path.Combine(Repository.Root, project));
        Assert.True(Table.TryGetValue(folder, out string[]? allowed), $"{folder} has a project but no line in ARCHITECTURE.md");
        if (allowed!.Contains("any"))
        {
            return;
        }

        foreach (string reference in Repository.References(Path.Combine(Repository.Root, project)))
        {
            string target = Repository.Folder(reference);
            Assert.True(target == folder || allowed!.Contains(target), $"{project} may not reference {target}");
        }
    }

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_is_in_the_solution(string project)
    {
        string solution = File.ReadAllText(Path.Combine(Repository.Root, "NetKernel.sln")).Replace('\\', '/');
        Assert.Contains($"\"{project}\"", solution);
    }

    [Theory]
    [InlineData("CoreEngine")]
    [InlineData("ServiceLib")]
    [InlineData("Nsm.Kernel")]
    public void A_data_plane_project_has_the_banned_api_list(string folder)
    {
        XDocument project = XDocument.Load(Path.Combine(Repository.Root, folder, folder + ".csproj"));
        Assert.Equal("true", project.Descendants("NkHotPath").Single().Value);

        string targets = File.ReadAllText(Path.Combine(Repository.Root, "Directory.Build.targets"));
        Assert.Contains("Microsoft.CodeAnalysis.BannedApiAnalyzers", targets);
        Assert.Contains("BannedSymbols.HotPath.txt", targets);
    }

    private static Dictionary<string, string[]> ReadTable()
    {
        var table = new Dictionary<string, string[]>();
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, "ARCHITECTURE.md")))
        {
            string[] cells = line.Split('|', StringSplitOptions.TrimEntries);
            if (cells.Length == 5 && cells[1].StartsWith('`'))
            {
                string[] allowed = cells[3].Split(',', StringSplitOptions.TrimEntries);
                table.Add(cells[1].Trim('`'), allowed is ["none"] ? [] : allowed);
            }
        }

        return table;
    }
}
