namespace NetKernel.GuestLib.Names;

/// <summary>
/// The domains to look for a name in. The state holds six of them and 256 characters; the C library knows of more, and so the file is read for the rest,
/// where the state still agrees with it.
/// </summary>
internal unsafe struct SearchList
{
    internal ResolverState* State;
    private int _next;
    private int _characters;

    /// <summary>The next domain without a dot before it, or null. <paramref name="room"/> may be used for it.</summary>
    internal byte* Next(byte* room)
    {
        byte* domain = State->SearchDomain(_next);
        if (domain == null && (domain = Further(room)) == null)
        {
            return null;
        }

        _next++;
        for (byte* c = domain; *c != 0; c++)
        {
            _characters++;
        }

        return *domain == '.' ? domain + 1 : domain;
    }

    private readonly byte* Further(byte* room)
    {
        if (_next == 0 || (_next < ResolverState.MaxSearch && _characters < 128) || Files.Environment("LOCALDOMAIN"u8) != null)
        {
            return null;
        }

        byte* text = Files.Read("/etc/resolv.conf"u8, out int length);
        bool found = false;
        if (text != null)
        {
            byte* known = State->SearchDomain(_next - 1);
            found = known == null || (SearchLine.Find(text, length, _next - 1, room) && Same(room, known));
            found = found && SearchLine.Find(text, length, _next, room);
        }

        Libc.free(text);
        return found ? room : null;
    }

    private static bool Same(byte* a, byte* b)
    {
        int i = 0;
        while (a[i] == b[i] && a[i] != 0)
        {
            i++;
        }

        return a[i] == b[i];
    }
}
