using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib;

/// <summary>
/// What a program needs in its environment to be covered: LD_PRELOAD with this library, and the way to the guest's channel. A program started with a
/// cleaned environment would have no network at all, so both are put back. With NETKERNEL_ATTACH empty nothing is: that is how to ask for it.
/// </summary>
internal static unsafe class Environment
{
    private const int MostAttach = 512, MostPreload = 2048;

    /// <summary>Bytes that <see cref="Configure"/> keeps.</summary>
    internal const int Kept = MostAttach + MostPreload;

    /// <summary>Room for pointers that <see cref="Mend"/> needs beyond the variables.</summary>
    internal const int Extra = 3;

    private static byte* s_attach; // "NETKERNEL_ATTACH=..."
    private static byte* s_preload; // "LD_PRELOAD=..."
    private static uint s_preloadLength;
    private static byte*** s_environ;

    /// <summary>The program's own environment.</summary>
    internal static byte** Own
    {
        get
        {
            if (s_environ == null)
            {
                fixed (byte* name = "environ"u8)
                {
                    s_environ = (byte***)Libc.dlsym(0, name);
                }
            }

            return s_environ == null ? null : *s_environ;
        }
    }

    private struct Info
    {
        internal byte* File;
        internal void* Base;
        internal byte* Symbol;
        internal void* Address;
    }

    [RuntimeImport("*", "dladdr"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int dladdr(void* address, Info* info);

    /// <summary>Remembers both in the room given, before the program can change its environment.</summary>
    internal static void Configure(byte* attachPath, byte* room)
    {
        Info info = default;
        if (dladdr((delegate*<byte*, byte*, void>)&Configure, &info) == 0 || info.File == null || info.File[0] != (byte)'/')
        {
            return;
        }

        _ = Join(room, "NETKERNEL_ATTACH="u8, attachPath, MostAttach);
        s_preloadLength = Join(room + MostAttach, "LD_PRELOAD="u8, info.File, MostPreload);
        s_attach = room;
        s_preload = s_preloadLength == 0 ? null : room + MostAttach;
    }

    /// <summary>Variables of an environment.</summary>
    internal static int Count(byte** variables)
    {
        int n = 0;
        while (variables != null && variables[n] != null)
        {
            n++;
        }

        return n;
    }

    /// <summary>Bytes that <see cref="Mend"/> needs for text.</summary>
    internal static int TextRoom(byte** variables)
    {
        byte* other = Value(variables, "LD_PRELOAD="u8);
        return other == null || s_preload == null ? 1 : (int)(s_preloadLength + Length(other) + 2);
    }

    /// <summary>
    /// The environment with what is missing put back: itself, or made in the room given (as many pointers as it has variables and
    /// <see cref="Extra"/>, and <see cref="TextRoom"/> bytes). Touches nothing else: a vfork child calls it.
    /// </summary>
    internal static byte** Mend(byte** variables, byte** room, byte* text)
    {
        byte* attach = Value(variables, "NETKERNEL_ATTACH="u8);
        byte* preload = Value(variables, "LD_PRELOAD="u8);
        bool covered = preload != null && s_preload != null && Names(preload, s_preload + 11);
        if (s_preload == null || (attach != null && (attach[0] == 0 || covered)))
        {
            return variables;
        }

        int n = 0;
        for (byte** variable = variables; variable != null && *variable != null; variable++)
        {
            if (covered || preload == null || *variable + 11 != preload)
            {
                room[n++] = *variable;
            }
        }

        if (attach == null)
        {
            room[n++] = s_attach;
        }

        if (!covered && preload != null)
        {
            // Ours before theirs.
            _ = Libc.memmove(text, s_preload, s_preloadLength);
            text[s_preloadLength] = (byte)':';
            _ = Libc.memmove(text + s_preloadLength + 1, preload, Length(preload) + 1);
            room[n++] = text;
        }
        else if (!covered)
        {
            room[n++] = s_preload;
        }

        room[n] = null;
        return room;
    }

    private static byte* Value(byte** variables, ReadOnlySpan<byte> start)
    {
        for (; variables != null && *variables != null; variables++)
        {
            int i = 0;
            while (i < start.Length && (*variables)[i] == start[i])
            {
                i++;
            }

            if (i == start.Length)
            {
                return *variables + i;
            }
        }

        return null;
    }

    /// <summary>Whether a list separated by colons or spaces has a name in it.</summary>
    private static bool Names(byte* list, byte* name)
    {
        while (*list != 0)
        {
            byte* at = name;
            while (*at != 0 && *list == *at)
            {
                list++;
                at++;
            }

            if (*at == 0 && *list is 0 or (byte)':' or (byte)' ')
            {
                return true;
            }

            while (*list is not (0 or (byte)':' or (byte)' '))
            {
                list++;
            }

            while (*list is (byte)':' or (byte)' ')
            {
                list++;
            }
        }

        return false;
    }

    private static uint Length(byte* text)
    {
        uint n = 0;
        while (text[n] != 0)
        {
            n++;
        }

        return n;
    }

    /// <summary>Writes start and text one behind the other; the length, or 0 when there is no room.</summary>
    private static uint Join(byte* to, ReadOnlySpan<byte> start, byte* text, uint room)
    {
        uint length = Length(text);
        if ((uint)start.Length + length + 1 > room)
        {
            return 0;
        }

        for (int i = 0; i < start.Length; i++)
        {
            to[i] = start[i];
        }

        _ = Libc.memmove(to + start.Length, text, length + 1);
        return (uint)start.Length + length;
    }
}
