using System.Runtime;
using System.Runtime.CompilerServices;

namespace NetKernel.GuestLib.Exports;

/// <summary>
/// The calls of stdio that do more than read and write a stream (<see cref="Streams"/> sees to those): that print to an fd, or put another file in an fd's place.
/// </summary>
internal static unsafe class Stdio
{
    private const int RegisterBytes = 6 * 8, RegistersWithVectors = RegisterBytes + (8 * 16);

    /// <summary>struct __va_list_tag (System V ABI for x86-64, 3.5.7).</summary>
    private struct VariableList
    {
        internal uint GeneralOffset;
        internal uint VectorOffset;
        internal void* Overflow;
        internal byte* Registers;
    }

    [RuntimeImport("*", "__vasprintf_chk"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int __vasprintf_chk(byte** text, int flag, byte* format, VariableList* list);

    [RuntimeImport("*", "fwide"), MethodImpl(MethodImplOptions.InternalCall)]
    private static extern int fwide(byte* stream, int mode);

    [RuntimeExport("vdprintf")]
    public static int VDPrintF(int fd, byte* format, void* list)
    {
        Real.Ensure();
        return Fds.KindOf(fd) == FdKind.Native ? Real.vdprintf(fd, format, list) : Print(fd, 0, format, (VariableList*)list);
    }

    [RuntimeExport("__vdprintf_chk")]
    public static int VDPrintFChecked(int fd, int flag, byte* format, void* list)
    {
        Real.Ensure();
        return Fds.KindOf(fd) == FdKind.Native ? Real.vdprintf_chk(fd, flag, format, list) : Print(fd, flag, format, (VariableList*)list);
    }

    /// <summary>A variadic function gets what is not on the stack in registers, of which all are taken over: nobody knows what the format asks for.</summary>
    [RuntimeExport("dprintf")]
    public static int DPrintF(
        int fd, byte* format, nint a, nint b, nint c, nint d, double x0, double x1, double x2, double x3, double x4, double x5, double x6, double x7, nint onStack)
    {
        byte* registers = stackalloc byte[RegistersWithVectors];
        ((nint*)registers)[2] = a;
        ((nint*)registers)[3] = b;
        ((nint*)registers)[4] = c;
        ((nint*)registers)[5] = d;
        Vectors(registers, x0, x1, x2, x3, x4, x5, x6, x7);
        VariableList list = new() { GeneralOffset = 2 * 8, VectorOffset = RegisterBytes, Overflow = &onStack, Registers = registers };
        return VDPrintF(fd, format, &list);
    }

    [RuntimeExport("__dprintf_chk")]
    public static int DPrintFChecked(
        int fd, int flag, byte* format, nint a, nint b, nint c, double x0, double x1, double x2, double x3, double x4, double x5, double x6, double x7, nint onStack)
    {
        byte* registers = stackalloc byte[RegistersWithVectors];
        ((nint*)registers)[3] = a;
        ((nint*)registers)[4] = b;
        ((nint*)registers)[5] = c;
        Vectors(registers, x0, x1, x2, x3, x4, x5, x6, x7);
        VariableList list = new() { GeneralOffset = 3 * 8, VectorOffset = RegisterBytes, Overflow = &onStack, Registers = registers };
        return VDPrintFChecked(fd, flag, format, &list);
    }

    [RuntimeExport("freopen")]
    public static byte* FReopen(byte* path, byte* mode, byte* stream)
    {
        Real.Ensure();
        return Reopened(Streams.FdOf(stream), Real.freopen(path, mode, stream));
    }

    [RuntimeExport("freopen64")]
    public static byte* FReopen64(byte* path, byte* mode, byte* stream)
    {
        Real.Ensure();
        return Reopened(Streams.FdOf(stream), Real.freopen64(path, mode, stream));
    }

    /// <summary>Puts /dev/null in the place of fds 0 to 2 from within the libc.</summary>
    [RuntimeExport("daemon")]
    public static int Daemon(int keepFolder, int keepFds)
    {
        Real.Ensure();
        int result = Real.daemon(keepFolder, keepFds);
        for (int fd = 0; fd < 3; fd++)
        {
            Closing.Replaced(fd);
        }

        return result;
    }

    /// <summary>The libc's writes to a duplicate of the stream's fd, made inside the libc, while the stream is neither narrow nor wide yet.</summary>
    [RuntimeExport("perror")]
    public static void PError(byte* text)
    {
        Real.Ensure();
        int errno = Libc.Errno;
        byte* stream = Real.stderr == null ? null : *Real.stderr;
        if (stream == null || Fds.KindOf(Streams.FdOf(stream)) == FdKind.Native || fwide(stream, 0) != 0)
        {
            Real.perror(text);
            return;
        }

        fixed (byte* format = "%s%s%m\n\0"u8, separator = ": \0"u8, nothing = "\0"u8)
        {
            bool named = text != null && *text != 0;
            byte* registers = stackalloc byte[RegistersWithVectors];
            ((nint*)registers)[2] = (nint)(named ? text : nothing);
            ((nint*)registers)[3] = (nint)(named ? separator : nothing);
            VariableList list = new() { GeneralOffset = 2 * 8, VectorOffset = RegistersWithVectors, Overflow = null, Registers = registers };
            Libc.Errno = errno;
            _ = Print(Streams.FdOf(stream), 0, format, &list);
            Libc.Errno = errno;
        }
    }

    private static byte* Reopened(int fd, byte* result)
    {
        int errno = Libc.Errno;
        Closing.Replaced(fd); // another file now, or closed
        Libc.Errno = errno;
        return result;
    }

    private static void Vectors(byte* registers, double x0, double x1, double x2, double x3, double x4, double x5, double x6, double x7)
    {
        double* at = (double*)(registers + RegisterBytes); // 16 bytes each, of which a double fills 8
        at[0] = x0;
        at[2] = x1;
        at[4] = x2;
        at[6] = x3;
        at[8] = x4;
        at[10] = x5;
        at[12] = x6;
        at[14] = x7;
    }

    private static int Print(int fd, int flag, byte* format, VariableList* list)
    {
        byte* text;
        int bytes = __vasprintf_chk(&text, flag, format, list);
        if (bytes < 0)
        {
            return -1;
        }

        nint done = Streams.WriteAll(fd, text, bytes);
        int errno = Libc.Errno;
        Libc.free(text);
        Libc.Errno = errno;
        return done < bytes ? -1 : bytes;
    }
}
