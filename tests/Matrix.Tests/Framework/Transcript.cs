using System.Text;
using System.Text.RegularExpressions;

namespace NetKernel.Matrix.Tests.Framework;

/// <summary>What a scenario wrote down: commands, their outputs and exit codes. Two worlds must write the same.</summary>
internal sealed class Transcript(string folder)
{
    private readonly StringBuilder _text = new();
    private readonly List<(Regex Pattern, string Replacement)> _masks = [];

    /// <summary>What differs from run to run by its nature (process ids, dates, rates): replaced in what comes from now on.</summary>
    public void Mask(string pattern, string replacement) => _masks.Add((new Regex(pattern, RegexOptions.CultureInvariant | RegexOptions.Multiline), replacement));

    public void Add(string text)
    {
        text = text.Replace(folder, "@", StringComparison.Ordinal);
        foreach ((Regex pattern, string replacement) in _masks)
        {
            text = pattern.Replace(text, replacement);
        }

        _ = _text.Append(text.TrimEnd('\n')).Append('\n');
    }

    /// <summary>The last lines, for a message.</summary>
    public string Tail() => string.Join('\n', _text.ToString().Split('\n').TakeLast(40));

    public override string ToString() => _text.ToString();

    /// <summary>Fails with the first line that differs, and what comes before and after it.</summary>
    public static void AssertEqual(string native, string found)
    {
        if (native == found)
        {
            return;
        }

        string[] left = native.Split('\n');
        string[] right = found.Split('\n');
        int same = left.Zip(right).TakeWhile(pair => pair.First == pair.Second).Count();
        string Part(string[] lines) => string.Join('\n', lines.Skip(same).Take(12));
        Assert.Fail(
            $"NetKernel's run differs from the native one in line {same + 1}; before it:\n{string.Join('\n', left.Take(same).TakeLast(8))}\n" +
            $"--- native:\n{Part(left)}\n--- NetKernel:\n{Part(right)}");
    }
}
