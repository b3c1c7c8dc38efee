using System.Globalization;
using NetKernel.ControlPlane.Api;

namespace NetKernel.Cli.Commands;

/// <summary>Creating and deleting.</summary>
internal static class Changes
{
    public static int CreateGuest(string directory, string name, GuestSpec spec)
    {
        Check("guest", name);
        using var client = new NkdClient(directory);
        GuestInfo guest = client.CreateGuest(name, spec, mustBeNew: true);
        Console.Error.WriteLine($"guest {guest.Name} is made: {guest.Ipv4 ?? "the host's addresses"}{(guest.Ipv6 is null ? "" : $", {guest.Ipv6}")}, NSM {guest.Nsm}");
        return ExitCode.Success;
    }

    public static int DeleteGuest(string directory, string name, bool force)
    {
        Check("guest", name);
        using var client = new NkdClient(directory);
        client.DeleteGuest(name, force);
        Console.Error.WriteLine($"guest {name} is deleted");
        return ExitCode.Success;
    }

    public static int CreateNsm(string directory, string name, NsmSpec spec)
    {
        Check("NSM", name);
        using var client = new NkdClient(directory);
        NsmInfo nsm = client.CreateNsm(name, spec);
        Console.Error.WriteLine($"NSM {nsm.Name} is made: {nsm.Kind}, {nsm.Congestion}, pid {nsm.Pid}");
        return ExitCode.Success;
    }

    public static int DeleteNsm(string directory, string name)
    {
        Check("NSM", name);
        using var client = new NkdClient(directory);
        client.DeleteNsm(name);
        Console.Error.WriteLine($"NSM {name} is deleted");
        return ExitCode.Success;
    }

    /// <summary>262144, 256k, 1M: binary multiples, as ip and tc have them for buffers.</summary>
    public static long Bytes(string option, string? text)
    {
        if (text is null)
        {
            return 0;
        }

        int shift = text.Length == 0 ? 0 : char.ToLowerInvariant(text[^1]) switch { 'k' => 10, 'm' => 20, 'g' => 30, _ => 0 };
        return long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number <= 1L << 30
            ? number << shift
            : throw CliException.Usage($"{option} {text}: a number of bytes, as 262144, 256k or 1M");
    }

    private static void Check(string kind, string name)
    {
        if (Names.Problem(kind, name) is { } problem)
        {
            throw CliException.Usage(problem);
        }
    }
}
