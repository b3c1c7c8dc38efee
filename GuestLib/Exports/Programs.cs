using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// The calls that start programs (exec(3), posix_spawn(3), popen(3)): what a program inherits stays alive until it has found it, and its environment
/// has what it needs to be covered. Those that are variadic in C get their first arguments in registers and the others on the stack, one behind the other
/// (System V ABI for x86-64, 3.5.7): the address of the first is that of all.
/// </summary>
internal static unsafe class Programs
{
    [RuntimeExport("execve")]
    public static int ExecVE(byte* path, byte** arguments, byte** variables)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        Exporting.BeforeExec();
        return Real.execve(path, arguments, Environment.Mend(variables, room, text));
    }

    [RuntimeExport("execv")]
    public static int ExecV(byte* path, byte** arguments) => ExecVE(path, arguments, Environment.Own);

    [RuntimeExport("execvpe")]
    public static int ExecVPE(byte* file, byte** arguments, byte** variables)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        Exporting.BeforeExec();
        return Real.execvpe(file, arguments, Environment.Mend(variables, room, text));
    }

    [RuntimeExport("execvp")]
    public static int ExecVP(byte* file, byte** arguments) => ExecVPE(file, arguments, Environment.Own);

    [RuntimeExport("fexecve")]
    public static int FExecVE(int fd, byte** arguments, byte** variables)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        Exporting.BeforeExec();
        return Real.fexecve(fd, arguments, Environment.Mend(variables, room, text));
    }

    [RuntimeExport("execveat")]
    public static int ExecVEAt(int folder, byte* path, byte** arguments, byte** variables, int flags)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        Exporting.BeforeExec();
        return Real.execveat(folder, path, arguments, Environment.Mend(variables, room, text), flags);
    }

    [RuntimeExport("execl")]
    public static int ExecL(byte* path, byte* a0, byte* a1, byte* a2, byte* a3, byte* a4, byte* onStack)
    {
        byte** five = stackalloc byte*[5] { a0, a1, a2, a3, a4 };
        byte** arguments = stackalloc byte*[Count(five, &onStack) + 1];
        _ = Gather(five, &onStack, arguments);
        return ExecVE(path, arguments, Environment.Own);
    }

    [RuntimeExport("execlp")]
    public static int ExecLP(byte* file, byte* a0, byte* a1, byte* a2, byte* a3, byte* a4, byte* onStack)
    {
        byte** five = stackalloc byte*[5] { a0, a1, a2, a3, a4 };
        byte** arguments = stackalloc byte*[Count(five, &onStack) + 1];
        _ = Gather(five, &onStack, arguments);
        return ExecVPE(file, arguments, Environment.Own);
    }

    [RuntimeExport("execle")]
    public static int ExecLE(byte* path, byte* a0, byte* a1, byte* a2, byte* a3, byte* a4, byte* onStack)
    {
        byte** five = stackalloc byte*[5] { a0, a1, a2, a3, a4 };
        byte** arguments = stackalloc byte*[Count(five, &onStack) + 1];
        return ExecVE(path, arguments, (byte**)Gather(five, &onStack, arguments)); // the environment comes behind the null pointer
    }

    [RuntimeExport("posix_spawn")]
    public static int PosixSpawn(int* pid, byte* path, void* actions, void* attributes, byte** arguments, byte** variables)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        int child = 0;
        Epoll.MarkInherited();
        int result = Real.posix_spawn(&child, path, actions, attributes, arguments, Environment.Mend(variables, room, text));
        return Spawned(result, child, pid);
    }

    [RuntimeExport("posix_spawnp")]
    public static int PosixSpawnP(int* pid, byte* file, void* actions, void* attributes, byte** arguments, byte** variables)
    {
        Real.Ensure();
        byte** room = stackalloc byte*[Environment.Count(variables) + Environment.Extra];
        byte* text = stackalloc byte[Environment.TextRoom(variables)];
        int child = 0;
        Epoll.MarkInherited();
        int result = Real.posix_spawnp(&child, file, actions, attributes, arguments, Environment.Mend(variables, room, text));
        return Spawned(result, child, pid);
    }

    [RuntimeExport("popen")]
    public static void* POpen(byte* command, byte* mode)
    {
        Real.Ensure();
        Exporting.BeforeChild();
        return Real.popen(command, mode);
    }

    private static int Spawned(int result, int child, int* pid)
    {
        if (result != 0)
        {
            return result;
        }

        Exporting.AfterSpawn(child);
        if (pid != null)
        {
            *pid = child;
        }

        return 0;
    }

    private static int Count(byte** five, byte** onStack)
    {
        int n = 0;
        while (At(five, onStack, n) != null)
        {
            n++;
        }

        return n;
    }

    /// <summary>Writes the list with its null pointer; returns what comes behind that.</summary>
    private static byte* Gather(byte** five, byte** onStack, byte** arguments)
    {
        int n = 0;
        while ((arguments[n] = At(five, onStack, n)) != null)
        {
            n++;
        }

        return At(five, onStack, n + 1);
    }

    private static byte* At(byte** five, byte** onStack, int index) => index < 5 ? five[index] : onStack[index - 5];
}
