using System.Globalization;

namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>
/// One call by one process. As text: ACTOR[.THREAD] CALL ARG..., with ~ before it when the next step follows without a look at
/// everything.
/// </summary>
internal sealed record Step(string Actor, int Thread, string Call, string[] Arguments, bool IsObserved = true)
{
    /// <summary>The step of a line, or null for an empty line or a comment.</summary>
    public static Step? Parse(string line)
    {
        string text = line.Split('#')[0].Trim();
        if (text.Length == 0)
        {
            return null;
        }

        string[] words = text.TrimStart('~').Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string[] actor = words[0].Split('.');
        int thread = actor.Length > 1 ? int.Parse(actor[1], CultureInfo.InvariantCulture) : 0;
        return words.Length < 2 ? throw new FormatException(line) : new Step(actor[0], thread, words[1], words[2..], text[0] != '~');
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        string thread = Thread == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $".{Thread}");
        return $"{(IsObserved ? "" : "~")}{Actor}{thread} {string.Join(' ', Arguments.Prepend(Call))}";
    }
}

/// <summary>A list of steps, and its text.</summary>
internal sealed record Script(IReadOnlyList<Step> Steps)
{
    /// <summary>Reads a script; what follows # is comment.</summary>
    public static Script Parse(string text) => new([.. text.Split('\n').Select(Step.Parse).OfType<Step>()]);

    /// <inheritdoc/>
    public override string ToString() => string.Join('\n', Steps) + "\n";
}
