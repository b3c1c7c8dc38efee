using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Cli.Config;
using NetKernel.Cli.Output;

namespace NetKernel.Cli.Commands;

/// <summary>nk apply and nk export: the declared state as a YAML file.</summary>
internal static class ApplyCommand
{
    public static int Apply(string directory, string file, bool dryRun, bool prune, bool force, string format)
    {
        DeclaredState state = new();
        string text;
        try
        {
            text = file == "-" ? Console.In.ReadToEnd() : File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw CliException.Failure($"cannot read {file}: {e.Message.TrimEnd('.')}");
        }

        YamlMessage.Read(file == "-" ? "standard input" : file, text, state);
        using var client = new NkdClient(directory);
        ApplyResponse answer = client.Apply(new ApplyRequest { State = state, DryRun = dryRun, Prune = prune, Force = force });
        if (format is "json" or "yaml")
        {
            string json = ProtoJson.Text(answer);
            Console.Out.Write(format == "json" ? json + "\n" : Yaml.OfJson(json));
        }
        else
        {
            Console.Out.Write(Difference(answer));
        }

        Console.Error.WriteLine(
            answer.Changes.Count == 0 ? "nothing to change: everything is as declared"
            : dryRun ? $"{answer.Changes.Count} changes would be made (nothing has been changed)" : $"{answer.Changes.Count} changes are made");
        if (!dryRun)
        {
            WarnOf(client, [.. answer.Changes.Select(change => (change.Kind, change.Name))]);
        }

        return ExitCode.Success;
    }

    // All is declared; what of it is not in force is said.
    private static void WarnOf(NkdClient client, HashSet<(string Kind, string Name)> changed)
    {
        IEnumerable<(string Kind, string Name, string Problem)> problems =
        [
            .. client.Tenants().Select(one => ("tenant", one.Name, one.Problem)), .. client.Nsms().Select(one => ("nsm", one.Name, one.QuotaProblem)),
            .. client.Policies().Select(one => ("policy", one.Name, one.Problem)),
            .. client.Guests(processes: false).Select(one => ("guest", one.Name, string.Join("; ", new[] { one.State == GuestState.Failed ? one.Reason : "", one.Problem }.Where(text => text.Length > 0)))),
        ];
        foreach ((string kind, string name, string problem) in problems.Where(one => one.Problem.Length > 0 && changed.Contains((one.Kind, one.Name))))
        {
            Console.Error.WriteLine($"nk: {kind} {name}: {problem}");
        }
    }

    public static int Export(string directory, string format)
    {
        using var client = new NkdClient(directory);
        DeclaredState state = client.Export();
        Console.Out.Write(format == "json" ? ProtoJson.Declared(state) + "\n" : Declared(state));
        return ExitCode.Success;
    }

    /// <summary>A state as a file for nk apply.</summary>
    internal static string Declared(DeclaredState state) => Yaml.OfJson(ProtoJson.Declared(state));

    /// <summary>"+ guest web", and under it the fields, as diff(1) marks them.</summary>
    internal static string Difference(ApplyResponse answer)
    {
        var text = new System.Text.StringBuilder();
        foreach (Change change in answer.Changes)
        {
            char mark = change.Action switch { Change.Types.Action.Create => '+', Change.Types.Action.Delete => '-', _ => '~' };
            _ = text.Append(mark).Append(' ').Append(change.Kind).Append(' ').Append(change.Name).Append('\n');
            foreach (FieldChange field in mark == '-' ? [] : change.Fields.AsEnumerable())
            {
                if (field.Before.Length > 0)
                {
                    _ = text.Append("    - ").Append(field.Field).Append(": ").Append(field.Before).Append('\n');
                }

                if (field.After.Length > 0)
                {
                    _ = text.Append("    + ").Append(field.Field).Append(": ").Append(field.After).Append('\n');
                }
            }
        }

        return text.ToString();
    }
}
