using System.Runtime;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// The calls that make processes. libc tells of its forks by pthread_atfork; fork(2) itself is here so that a failed one is told from a slow
/// child, and _Fork(3) and clone(2) because they tell nobody.
/// </summary>
internal static unsafe class Forks
{
    private const nuint CLONE_VM = 0x100;

    private static delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, int> s_function;
    private static void* s_argument;

    [RuntimeExport("fork")]
    public static int Fork()
    {
        Real.Ensure();
        Forking.WillTell();
        int pid = Real.fork();
        if (pid != 0)
        {
            Forking.Made(pid > 0);
        }

        return pid;
    }

    [RuntimeExport("_Fork")]
    public static int RawFork()
    {
        Real.Ensure();
        Forking.Prepare();
        Forking.WillTell();
        int pid = Real._Fork();
        if (pid == 0)
        {
            Forking.InChild();
        }
        else
        {
            Forking.Made(pid > 0);
        }

        return pid;
    }

    /// <summary>A fork by its number: libc knows nothing of it.</summary>
    internal static nint ByNumber(nint number, nint a, nint b, nint c, nint d, nint e)
    {
        Forking.Prepare();
        Forking.WillTell();
        nint pid = Real.syscall(number, a, b, c, d, e, 0);
        if (pid == 0)
        {
            Forking.InChild();
        }
        else
        {
            Forking.Made(pid > 0);
        }

        return pid;
    }

    /// <summary>clone(2) as libc has it: a function on a stack of its own. With memory of its own the child is a forked one.</summary>
    [RuntimeExport("clone")]
    public static int Clone(void* function, void* stack, int flags, void* argument, void* parentId, void* tls, void* childId)
    {
        Real.Ensure();
        if (((nuint)flags & CLONE_VM) != 0 || function == null || stack == null)
        {
            return Real.clone(function, stack, flags, argument, parentId, tls, childId);
        }

        Forking.Prepare();
        Forking.WillTell();
        s_function = (delegate* unmanaged[Cdecl, SuppressGCTransition]<void*, int>)function;
        s_argument = argument;
        int pid = Real.clone((delegate*<void*, int>)&Begin, stack, flags, null, parentId, tls, childId);
        Forking.Made(pid > 0);
        return pid;
    }

    private static int Begin(void* nothing)
    {
        Forking.InChild();
        return s_function(s_argument);
    }
}
