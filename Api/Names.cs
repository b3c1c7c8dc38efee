namespace NetKernel.Api;

/// <summary>What guests, NSMs and instances may be called. The names become parts of namespace names and of paths.</summary>
public static class Names
{
    /// <summary>The longest name.</summary>
    public const int MaxLength = 24;

    /// <summary>Instance names are shorter: "INSTANCE-nsm-NAME" is a file name, and messages should stay readable.</summary>
    public const int MaxInstanceLength = 24;

    /// <summary>Null when the name is good, else what is wrong with it.</summary>
    public static string? Problem(string kind, string name)
    {
        bool good = name.Length is > 0 and <= MaxLength && name[0] != '-' && name[^1] != '-';
        foreach (char c in name)
        {
            good &= c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-';
        }

        return good
            ? null
            : $"'{name}' is no valid {kind} name: use 1 to {MaxLength} of a-z, 0-9 and '-', without '-' at either end";
    }
}
