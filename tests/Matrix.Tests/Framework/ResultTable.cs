using System.Text;

namespace NetKernel.Testing;

/// <summary>What tests found, by row and column, for the documentation: with NK_WRITE_DOCS=DIR a Markdown table of this run goes there, and what was not run shows as "-".</summary>
internal sealed class ResultTable(string file, string text, params string[] columns)
{
    private readonly SortedDictionary<string, string[]> _rows = new(StringComparer.Ordinal);

    /// <summary>The kernel that the tests run on, and the day.</summary>
    private static string Circumstances => $"Linux {string.Join('.', Environment.OSVersion.Version.ToString().Split('.').Take(2))}, {DateTime.UtcNow:yyyy-MM-dd}";

    /// <summary>One result; of several for one place the last one counts.</summary>
    public void Add(string row, string column, string result)
    {
        if (!_rows.TryGetValue(row, out string[]? cells))
        {
            _rows[row] = cells = [.. columns.Select(_ => "-")];
        }

        cells[Array.IndexOf(columns, column)] = result;
    }

    /// <summary>Writes the file when it is wanted.</summary>
    /// <param name="behind">What comes behind the table.</param>
    public void Write(string behind = "")
    {
        if (Environment.GetEnvironmentVariable("NK_WRITE_DOCS") is not { Length: > 0 } folder)
        {
            return;
        }

        StringBuilder made = new();
        _ = made.Append(text).Append("\n\nMade by one run of the tests: ").Append(Circumstances).Append(".\n\n| |");
        _ = made.AppendJoin("", columns.Select(column => $" {column} |")).Append("\n|---|").Insert(made.Length, "---|", columns.Length).Append('\n');
        foreach ((string row, string[] cells) in _rows)
        {
            _ = made.Append("| ").Append(row).Append(" |").AppendJoin("", cells.Select(cell => $" {cell} |")).Append('\n');
        }

        File.WriteAllText(Path.Combine(folder, file), made.Append(behind).ToString());
    }
}
