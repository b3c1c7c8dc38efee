using System.Globalization;
using System.Text;

namespace NetKernel.Bench.Isolation;

/// <summary>Rates over time as an SVG, drawn by hand: no library is worth it for three lines.</summary>
internal static class RatePlot
{
    private const double Width = 760, Height = 360, Left = 50, Right = 20, Top = 40, Bottom = 40;

    private static readonly string[] Colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd"];

    public static string Draw(string title, RateSeries[] all)
    {
        double end = all.Max(series => series.Begin + series.Rates.Length), most = all.Max(series => series.Rates.DefaultIfEmpty(0).Max()) / 1e9;
        double step = Step(most);
        double top = Math.Max(step, Math.Ceiling(most / step) * step);
        double X(double second) => Left + ((Width - Left - Right) * second / end);
        double Y(double gigabits) => Height - Bottom - ((Height - Top - Bottom) * gigabits / top);

        var svg = new StringBuilder();
        void Add(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Add($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">");
        Add($"<rect width=\"{Width}\" height=\"{Height}\" fill=\"white\"/>");
        Add($"<text x=\"{Left}\" y=\"18\" font-size=\"14\">{title}</text>");
        for (double g = 0; g <= top + (step / 2); g += step)
        {
            Add($"<path d=\"M{Left} {Y(g):F1}H{Width - Right}\" stroke=\"#ddd\"/><text x=\"{Left - 6}\" y=\"{Y(g) + 4:F1}\" text-anchor=\"end\">{g:0.##}</text>");
        }

        for (double second = 0; second <= end; second += Step(end))
        {
            Add($"<text x=\"{X(second):F1}\" y=\"{Height - Bottom + 16}\" text-anchor=\"middle\">{second:0.##}</text>");
        }

        Add($"<text x=\"{(Width + Left) / 2}\" y=\"{Height - 6}\" text-anchor=\"middle\">seconds</text>");
        for (int i = 0; i < all.Length; i++)
        {
            RateSeries series = all[i];
            if (series.Cap != 0)
            {
                Add($"<path d=\"M{X(0):F1} {Y(series.Cap / 1e9):F1}H{Width - Right}\" stroke=\"{Colours[i]}\" stroke-dasharray=\"3 4\" opacity=\"0.6\"/>");
            }

            // Each value stands for the second that ends with it.
            string points = string.Join(' ', series.Rates.Select((rate, second) => string.Create(CultureInfo.InvariantCulture, $"{X(series.Begin + second + 0.5):F1},{Y(rate / 1e9):F1}")));
            Add($"<polyline points=\"{points}\" fill=\"none\" stroke=\"{Colours[i]}\" stroke-width=\"2\"/>");
            Add($"<text x=\"{Left + 250 + (i * 120)}\" y=\"18\" fill=\"{Colours[i]}\">{series.Name}</text>");
        }

        svg.Append("</svg>\n");
        return svg.ToString();
    }

    /// <summary>A round distance that makes 4 to 10 lines.</summary>
    private static double Step(double most)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(most, 1e-3))));
        double ratio = most / power;
        return power * (ratio > 4 ? 1 : ratio > 2 ? 0.5 : 0.2);
    }
}
