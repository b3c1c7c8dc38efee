namespace NetKernel.EndToEnd.Tests.Fuzzing;

/// <summary>A difference: the script up to it, and what was seen there natively and through NetKernel.</summary>
internal sealed record Difference(Script Script, string Stage, string Native, string NetKernel)
{
    /// <summary>What kind of difference it is, roughly: minimising should not end at another one.</summary>
    public string Signature => Script.Steps[^1].Call;

    /// <inheritdoc/>
    public override string ToString() => $"{Script}# natively:\n{Comment(Native)}# {Stage}:\n{Comment(NetKernel)}";

    private static string Comment(string lines) => string.Concat(lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => $"#   {line}\n"));
}

/// <summary>Runs scripts on both sides and says whether they differ.</summary>
internal sealed class Judge(Stage native)
{
    /// <summary>Scripts that the kernel alone answers in more than one way, with the time that was given: they prove nothing.</summary>
    public int Unstable { get; private set; }

    /// <summary>Scripts whose first, quick run was different, and the careful one not.</summary>
    public int Hasty { get; private set; }

    /// <summary>
    /// The difference between the stages, or null. A first, quick run may be wrong when the machine is busy: what differs is run again with much
    /// longer times, and counts only when it differs again and the kernel agrees with itself.
    /// </summary>
    public Difference? Compare(Script script, Stage stage)
    {
        Record quick = Performance.Run(native, script, Pace.Quick);
        if (Performance.Run(stage, script, Pace.Quick, quick).DifferentAt is null)
        {
            return null;
        }

        Record first = Performance.Run(native, script, Pace.Careful);
        Record netKernel = Performance.Run(stage, script, Pace.Careful, first);
        if (netKernel.DifferentAt is not int at)
        {
            Hasty++;
            return null;
        }

        Record second = Performance.Run(native, script, Pace.Careful);
        if (!first.Observations.Take(at + 1).SequenceEqual(second.Observations.Take(at + 1)))
        {
            Unstable++;
            return null;
        }

        return new Difference(new Script([.. script.Steps.Take(at + 1)]), stage.Name, first.Observations[at] ?? "", netKernel.Observations[at] ?? "");
    }

    /// <summary>
    /// The same difference with as few steps as can be found within a time: leaves out ever smaller pieces as long as it stays (Zeller and
    /// Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002).
    /// </summary>
    public Difference Minimise(Difference found, Stage stage, TimeSpan time)
    {
        long began = System.Diagnostics.Stopwatch.GetTimestamp();
        Difference best = found;
        for (int piece = best.Script.Steps.Count / 2; piece > 0;)
        {
            bool shorter = false;
            for (int from = best.Script.Steps.Count - 1 - piece; from > -piece; from -= piece)
            {
                if (System.Diagnostics.Stopwatch.GetElapsedTime(began) > time)
                {
                    return best;
                }

                int start = Math.Max(0, from);
                Script candidate = new([.. best.Script.Steps.Take(start), .. best.Script.Steps.Skip(start + piece)]);
                if (candidate.Steps.Count < best.Script.Steps.Count && Compare(candidate, stage) is { } smaller && smaller.Signature == found.Signature)
                {
                    best = smaller;
                    shorter = true;
                }
            }

            piece = shorter && piece == 1 ? 1 : Math.Min(piece / 2, best.Script.Steps.Count / 2);
        }

        return best;
    }
}
