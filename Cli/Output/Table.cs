using System.Text;

namespace NetKernel.Cli.Output;

/// <summary>Columns of aligned text: headers in capitals, two spaces between, nothing else, so that awk reads it too.</summary>
internal sealed class Table(params Column[] columns)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells)
    {
        if (cells.Length != columns.Length)
        {
            throw new ArgumentException($"{cells.Length} cells for {columns.Length} columns", nameof(cells));
        }

        _rows.Add([.. cells.Select(cell => cell.Length == 0 ? "-" : Clean(cell))]);
    }

    public override string ToString() => Text(wide: true);

    /// <summary>All lines, each ended; wide adds the columns that are only for it.</summary>
    public string Text(bool wide)
    {
        int[] shown = [.. Enumerable.Range(0, columns.Length).Where(i => wide || !columns[i].Wide)];
        int[] widths = [.. columns.Select((column, i) => _rows.Select(row => row[i].Length).Append(column.Header.Length).Max())];
        var text = new StringBuilder();
        Line(text, shown, widths, [.. columns.Select(column => column.Header)]);
        foreach (string[] row in _rows)
        {
            Line(text, shown, widths, row);
        }

        return text.ToString();
    }

    private void Line(StringBuilder text, int[] shown, int[] widths, string[] cells)
    {
        var line = new StringBuilder();
        foreach (int i in shown)
        {
            line.Append(line.Length == 0 ? "" : "  ").Append(columns[i].Right ? cells[i].PadLeft(widths[i]) : cells[i].PadRight(widths[i]));
        }

        text.Append(line.ToString().TrimEnd()).Append('\n');
    }

    // Names of programs and reasons come from guests: no control characters reach the terminal.
    private static string Clean(string cell) => cell.Any(char.IsControl) ? string.Concat(cell.Select(c => char.IsControl(c) ? '?' : c)) : cell;
}

/// <summary>A column; numbers are aligned right; wide ones are shown with -o wide only.</summary>
internal sealed record Column(string Header, bool Right = false, bool Wide = false);
