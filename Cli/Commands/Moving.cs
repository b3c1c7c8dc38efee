using System.Globalization;
using NetKernel.Api.V1;

namespace NetKernel.Cli.Commands;

/// <summary>nk nsm drain, undrain and replace.</summary>
internal static class Moving
{
    private const int LookMs = 500;

    public static int Drain(string directory, string name, uint seconds, bool watch)
    {
        using var client = new NkdClient(directory);
        return Drain(client, name, seconds, watch);
    }

    public static int Undrain(string directory, string name)
    {
        using var client = new NkdClient(directory);
        Nsm nsm = client.UpdateNsm(new Nsm { Name = name, Drained = false }, ["drained"], restart: false);
        Console.Error.WriteLine($"NSM {nsm.Name} takes connections again");
        return ExitCode.Success;
    }

    /// <summary>Guests and policies go from one NSM to the other; then the one is drained.</summary>
    public static int Replace(string directory, string name, string with, uint seconds, bool watch)
    {
        using var client = new NkdClient(directory);
        if (name == with)
        {
            throw CliException.Usage($"NSM {name} cannot take its own place");
        }

        Nsm[] nsms = client.Nsms();
        foreach (string one in new[] { name, with })
        {
            if (nsms.All(nsm => nsm.Name != one))
            {
                throw CliException.Failure($"there is no NSM {one}: `nk nsm list` shows all, `nk nsm create {one}` makes it");
            }
        }

        _ = client.UpdateNsm(new Nsm { Name = name, Drained = true }, ["drained"], restart: false, seconds, dryRun: true); // what is refused is refused before anything is changed
        foreach (Policy policy in client.Policies().Where(policy => policy.Nsms.Contains(name)))
        {
            var changed = new Policy { Name = policy.Name };
            changed.Nsms.AddRange(policy.Nsms.Select(one => one == name ? with : one).Distinct());
            _ = client.UpdatePolicy(changed, ["nsms"]);
            Console.Error.WriteLine($"policy {policy.Name}: {string.Join(", then ", changed.Nsms)}");
        }

        foreach (Guest guest in client.Guests(processes: false).Where(guest => guest.Nsm == name))
        {
            Guest moved = client.UpdateGuest(new Guest { Name = guest.Name, Nsm = with }, ["nsm"], seconds);
            Console.Error.WriteLine($"guest {guest.Name} is served by {moved.Nsm}{(moved.Problem.Length > 0 ? ", but: " + moved.Problem : "")}");
        }

        return Drain(client, name, seconds, watch);
    }

    private static int Drain(NkdClient client, string name, uint seconds, bool watch)
    {
        Nsm nsm = client.UpdateNsm(new Nsm { Name = name, Drained = true }, ["drained"], restart: false, seconds);
        Console.Error.WriteLine($"NSM {name} gets no new connections{(seconds > 0 ? $"; those that are left in {seconds} s are reset" : "")}");
        long last = -1;
        while (watch && nsm.State == NsmState.Draining)
        {
            if (nsm.ConnectionsLeft != last)
            {
                last = nsm.ConnectionsLeft;
                Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{last} connections left"));
                Console.Out.Flush();
            }

            Thread.Sleep(LookMs);
            nsm = client.Nsms().FirstOrDefault(one => one.Name == name) ?? throw CliException.Failure($"NSM {name} is deleted");
        }

        if (watch)
        {
            Console.Out.WriteLine(nsm.State == NsmState.Drained ? "drained" : Lists.State(nsm));
        }

        return ExitCode.Success;
    }

    /// <summary>A time as 90, 90s, 5m or 1h, in seconds.</summary>
    public static uint Seconds(string option, string? text)
    {
        if (string.IsNullOrEmpty(text))
        {
            return 0;
        }

        uint unit = text[^1] switch
        {
            'm' => 60,
            'h' => 3600,
            _ => 1,
        };
        string number = text[^1] is 's' or 'm' or 'h' ? text[..^1] : text;
        return uint.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out uint value) && value is > 0 and <= 1_000_000
            ? value * unit
            : throw CliException.Usage($"{option} {text}: a time is a number of seconds, or as 90s, 5m, 1h");
    }
}
