namespace NetKernel.GuestLib.Names;

/// <summary>The aliases that a user has for hosts, in the file that HOSTALIASES names (hostname(7)).</summary>
internal static unsafe class HostAliases
{
    /// <summary>Writes the alias of a name without dots; false when it has none.</summary>
    internal static bool Find(byte* name, int length, byte* alias)
    {
        byte* path = Files.Environment("HOSTALIASES"u8);
        int bytes = 0;
        byte* text = path == null ? null : Files.Read(path, out bytes);
        bool found = text != null && SearchLine.FindAlias(text, bytes, name, length, alias);
        Libc.free(text);
        return found;
    }
}
