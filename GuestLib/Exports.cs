using System.Runtime;

namespace NetKernel.GuestLib;

/// <summary>The library's own entry points; the interposed libc calls lie in files of their own.</summary>
internal static unsafe class Exports
{
    /// <summary>The constructor: the dynamic loader calls it before the program's main, on the only thread.</summary>
    [RuntimeExport("nk_init")]
    public static void Init()
    {
    }

    /// <summary>Major, minor and patch number, one byte each: 0x000100 is 0.1.0.</summary>
    [RuntimeExport("nk_version")]
    public static int Version() => 0x00_01_00;
}
