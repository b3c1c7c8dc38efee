using NetKernel.Channel;

namespace NetKernel.GuestLib;

/// <summary>
/// Whether the program's pointers are good: a bad one is to give EFAULT, as the kernel has it, and not a SIGSEGV inside the library. The kernel is asked, a page
/// at a time, and pages that were good are remembered, so that a buffer in use costs a comparison. A page that was good and is then unmapped is not noticed, and
/// after <see cref="Budget"/> questions no more are asked: a program that has used that many pages is no test of pointers, and its data path stays free of system calls. Nor
/// does one that has a filter on its system calls.
/// </summary>
internal static unsafe class UserMemory
{
    private const int PageShift = 12;
    private const uint Remembered = 1024;
    private const int Budget = 1 << 16;

    /// <summary>End of the addresses that a program can have (TASK_SIZE_MAX on x86-64 with four-level page tables).</summary>
    private const ulong End = 0x7FFF_FFFF_F000;

    private static Memory s_good;
    private static int s_questions;
    private static uint s_nobody;

    /// <summary>Page numbers shifted left by one; the lowest bit says that the page may be written. Page 0 is nobody's.</summary>
    private struct Memory
    {
        internal fixed ulong Pages[(int)Remembered];
    }

    /// <summary>What the kernel's access_ok says: the bytes may be the program's, whether there or not.</summary>
    internal static bool IsPlausible(void* start, nuint bytes) => bytes <= End && (ulong)start <= End - bytes;

    /// <summary>Whether all the bytes can be read.</summary>
    internal static bool CanRead(void* start, nuint bytes) => bytes == 0 || Check((ulong)start, bytes, 0);

    /// <summary>Whether all the bytes can be written.</summary>
    internal static bool CanWrite(void* start, nuint bytes) => bytes == 0 || Check((ulong)start, bytes, 1);

    private static bool Check(ulong start, nuint bytes, ulong write)
    {
        ulong page = start >> PageShift;
        ulong last = (start + bytes - 1) >> PageShift;
        for (; page <= last; page++)
        {
            ulong seen = s_good.Pages[page & (Remembered - 1)] | (write ^ 1);
            if (seen != ((page << 1) | 1) || page == 0)
            {
                if (!Ask(page, write))
                {
                    return false;
                }
            }
        }

        return last >= start >> PageShift;
    }

    private static bool Ask(ulong page, ulong write)
    {
        if (page == 0 || page >= End >> PageShift)
        {
            return false;
        }

        if (s_questions >= Budget || Sandbox.IsFiltered)
        {
            return true;
        }

        s_questions++;
        int errno = Libc.Errno;
        nint address = (nint)(page << PageShift);
        bool good = (write != 0 ? TryWrite(address) : TryRead(address)) || Libc.Errno != Abi.EFAULT;
        Libc.Errno = errno;
        if (good)
        {
            s_good.Pages[page & (Remembered - 1)] = (page << 1) | write;
        }

        return good;
    }

    /// <summary>rt_sigprocmask(2) with an unknown "how" reads the new mask, and then only says EINVAL.</summary>
    private static bool TryRead(nint address)
    {
        const nint SYS_rt_sigprocmask = 14;
        return Real.syscall(SYS_rt_sigprocmask, -1, address, 0, 8, 0, 0) >= 0;
    }

    /// <summary>futex(2), FUTEX_WAKE_OP: the kernel ors 0 into the word, atomically, so that nothing changes whoever else writes there; nobody waits for it.</summary>
    private static bool TryWrite(nint address)
    {
        const nint SYS_futex = 202, FUTEX_WAKE_OP_PRIVATE = 5 | 128;
        const nint OrZeroIfLessThanMinus2048 = (2 << 28) | (2 << 24) | 0x800;
        fixed (uint* nobody = &s_nobody)
        {
            return Real.syscall(SYS_futex, (nint)nobody, FUTEX_WAKE_OP_PRIVATE, 0, 0, address, OrZeroIfLessThanMinus2048) >= 0;
        }
    }
}
