using System.Globalization;

namespace NetKernel.Bench;

/// <summary>One benchmark.</summary>
internal abstract class Benchmark
{
    /// <summary>What one types.</summary>
    public abstract string Name { get; }

    /// <summary>One line for the help.</summary>
    public abstract string Summary { get; }

    /// <summary>Measures and prints; the exit code.</summary>
    public abstract int Run(Options options);
}

/// <summary>--name value pairs.</summary>
internal sealed class Options
{
    private readonly Dictionary<string, string> _values = [];

    public Options(ReadOnlySpan<string> args)
    {
        All = args.ToArray();
        for (int i = 0; i + 1 < args.Length; i += 2)
        {
            _values[args[i].TrimStart('-')] = args[i + 1];
        }
    }

    /// <summary>As they came.</summary>
    public string[] All { get; }

    public string Text(string name, string otherwise) => _values.GetValueOrDefault(name, otherwise);

    public int Number(string name, int otherwise) =>
        _values.TryGetValue(name, out string? text) ? int.Parse(text, CultureInfo.InvariantCulture) : otherwise;
}

/// <summary>Several runs of the same measurement.</summary>
internal sealed class Sample
{
    private readonly List<double> _values = [];

    public void Add(double value) => _values.Add(value);

    public double Median
    {
        get
        {
            double[] sorted = [.. _values.Order()];
            return sorted[sorted.Length / 2];
        }
    }

    public double Least => _values.Min();

    public double Most => _values.Max();

    /// <summary>Least and most.</summary>
    public string Spread(string format) => $"{_values.Min().ToString(format, CultureInfo.InvariantCulture)} - {_values.Max().ToString(format, CultureInfo.InvariantCulture)}";
}
