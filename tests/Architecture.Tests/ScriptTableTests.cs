using System.Text.RegularExpressions;

namespace NetKernel.Architecture.Tests;

/// <summary>docs/mtcp.md's table of packet scripts: every RFC that the stack claims to follow has one, and the table and the scripts say the same.</summary>
public sealed class ScriptTableTests
{
    /// <summary>What the stack was to follow; "BBR" is a draft.</summary>
    private static readonly string[] Wanted =
    [
        "9293", "7323", "2018", "2883", "6675", "5681", "6582", "6928", "9438", "BBR", "8257", "3168", "6937", "8985", "6298", "5961", "6191", "7413", "4987", "1122", "896", "6528", "5482", "2385",
        "1191", "8201", "4821",
    ];

    /// <summary>RFCs of a row, and its scripts as Class.Method.</summary>
    private static List<(string[] Rfcs, string[] Scripts)> Table { get; } = [.. Rows()];

    [Fact]
    public void Every_RFC_has_a_script() =>
        Assert.All(Wanted, rfc => Assert.True(Table.Any(row => row.Rfcs.Contains(rfc) && row.Scripts.Length > 0), rfc));

    [Fact]
    public void The_table_has_every_script_and_no_other()
    {
        string[] listed = [.. Table.SelectMany(row => row.Scripts).Distinct().Order()];
        Assert.Equal([.. Scripts().Order()], listed);
    }

    private static IEnumerable<(string[] Rfcs, string[] Scripts)> Rows()
    {
        foreach (string line in File.ReadLines(Path.Combine(Repository.Root, "docs", "mtcp.md")).Where(line => line.StartsWith("| ", StringComparison.Ordinal) && line.Contains("Scripts: ", StringComparison.Ordinal)))
        {
            string[] cells = line.Split('|', StringSplitOptions.TrimEntries);
            yield return (cells[1].Split(", "), [.. Named(cells[2])]);
        }
    }

    /// <summary>"word: AScripts: One, Two (remark); BScripts: Three": the class is what ends in Scripts, and holds for the names behind it.</summary>
    private static IEnumerable<string> Named(string cell)
    {
        foreach (Match part in Regex.Matches(cell, @"(\w+Scripts): ([^;:]+)"))
        {
            foreach (string name in part.Groups[2].Value.Split(", "))
            {
                yield return $"{part.Groups[1].Value}.{name.Split(' ')[0]}";
            }
        }
    }

    private static IEnumerable<string> Scripts() =>
        from path in Directory.GetFiles(Path.Combine(Repository.Root, "tests", "Stack.Tests", "Scripts"), "*Scripts.cs")
        from Match method in Regex.Matches(File.ReadAllText(path), @"\[Fact\]\s+public void (\w+)\(")
        select $"{Path.GetFileNameWithoutExtension(path)}.{method.Groups[1].Value}";
}
