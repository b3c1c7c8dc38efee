using System.Globalization;
using System.Text;
using NetKernel.Bench.Tcp;

namespace NetKernel.Bench.SharedMem;

/// <summary>Every way beside TCP over veth and a bridge, as bars on a logarithmic scale: twice as long is not twice as fast, which the lines say.</summary>
internal static class RatioPlot
{
    private const double Width = 860, Left = 190, Right = 30, Top = 50, Bar = 7, Gap = 14, Least = 0.25, Most = 64;

    private static readonly string[] Colours = ["#7f7f7f", "#bcbd22", "#000000", "#8c564b", "#9467bd", "#1f77b4", "#d62728", "#ff9896"];

    public static string Draw(IReadOnlyList<Side> sides, MessageResult[,] results)
    {
        int bridge = sides.Index().First(pair => pair.Item.Name == "veth+bridge").Index;
        int[] shown = [.. Enumerable.Range(0, sides.Count).Where(s => s != bridge)];
        double group = (shown.Length * Bar) + Gap, height = Top + (MessageCase.All.Length * group) + 30;
        double X(double ratio) => Left + ((Width - Left - Right) * Math.Log(Math.Clamp(ratio, Least, Most) / Least) / Math.Log(Most / Least));
        var svg = new StringBuilder();
        void Add(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        Add($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {height}\" font-family=\"sans-serif\" font-size=\"12\">");
        Add($"<rect width=\"{Width}\" height=\"{height}\" fill=\"white\"/>");
        Add($"<text x=\"10\" y=\"18\" font-size=\"14\">How many times as good as TCP over veth and a bridge</text>");
        for (double ratio = Least; ratio <= Most; ratio *= 2)
        {
            string width = ratio == 1 ? "2" : "1";
            Add($"<path d=\"M{X(ratio):F1} {Top}V{height - 25}\" stroke=\"#ccc\" stroke-width=\"{width}\"/><text x=\"{X(ratio):F1}\" y=\"{height - 8}\" text-anchor=\"middle\">{ratio:0.##}</text>");
        }

        for (int i = 0; i < shown.Length; i++)
        {
            Add($"<text x=\"{10 + (i * 112)}\" y=\"38\" fill=\"{Colours[shown[i] % Colours.Length]}\">{sides[shown[i]].Name}</text>");
        }

        for (int c = 0; c < MessageCase.All.Length; c++)
        {
            double y = Top + (c * group) + (Gap / 2);
            Add($"<text x=\"{Left - 8}\" y=\"{y + (shown.Length * Bar / 2) + 4:F1}\" text-anchor=\"end\">{MessageCase.All[c].Name}</text>");
            for (int i = 0; i < shown.Length; i++)
            {
                double end = X(MessageCase.All[c].Ratio(results[c, shown[i]], results[c, bridge]));
                Add($"<rect x=\"{Math.Min(X(1), end):F1}\" y=\"{y + (i * Bar):F1}\" width=\"{Math.Abs(end - X(1)):F1}\" height=\"{Bar - 1}\" fill=\"{Colours[shown[i] % Colours.Length]}\"/>");
            }
        }

        svg.Append("</svg>\n");
        return svg.ToString();
    }
}
