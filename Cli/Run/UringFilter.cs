using System.Runtime.InteropServices;
using NetKernel.Channel.Host;

namespace NetKernel.Cli.Run;

/// <summary>
/// A filter on system calls (seccomp(2)) that answers io_uring_setup with ENOSYS, as a kernel without io_uring: what a ring does to sockets would go past the guest library,
/// whose functions liburing does not even call. Programs fall back to epoll or say so. All other calls are allowed without conditions, which the kernel keeps in a bitmap
/// per number: no filter runs for them.
/// </summary>
internal static unsafe class UringFilter
{
    private const long SysSeccomp = 317;
    private const int SetModeFilter = 1;

    // Without it, some kernels would switch on a costly mitigation (spec_store_bypass_disable) for whoever has a filter.
    private const int FlagSpeculationAllowed = 1 << 2;

    private const ushort LoadWord = 0x20, JumpIfEqual = 0x15, Return = 0x06; // BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
    private const uint NumberOffset = 0; // of struct seccomp_data
    private const uint IoUringSetup = 425; // the same number on every architecture, asm-generic/unistd.h
    private const uint ReturnErrno = 0x0005_0000, ReturnAllow = 0x7FFF_0000;
    private const uint ENOSYS = 38;

    // struct sock_filter
    [StructLayout(LayoutKind.Sequential)]
    private struct Instruction(ushort code, byte ifTrue, byte ifFalse, uint value)
    {
        public ushort Code = code;
        public byte IfTrue = ifTrue;
        public byte IfFalse = ifFalse;
        public uint Value = value;
    }

    // struct sock_fprog
    [StructLayout(LayoutKind.Sequential)]
    private struct Program
    {
        public ushort Length;
        public Instruction* Instructions;
    }

    /// <summary>
    /// Installs it for this thread, and for the program that this thread executes. Needs CAP_SYS_ADMIN; without, there is none: it could be had with PR_SET_NO_NEW_PRIVS only,
    /// and then sudo and its like would not work in the guest. False: the kernel refuses, and errno says why.
    /// </summary>
    public static bool TryInstall()
    {
        Instruction* instructions = stackalloc Instruction[4]
        {
            new(LoadWord, 0, 0, NumberOffset),
            new(JumpIfEqual, 0, 1, IoUringSetup),
            new(Return, 0, 0, ReturnErrno | ENOSYS),
            new(Return, 0, 0, ReturnAllow),
        };
        Program program = new() { Length = 4, Instructions = instructions };
        return SystemCall(SysSeccomp, SetModeFilter, FlagSpeculationAllowed, &program) == 0
            || (Libc.Errno == Libc.EINVAL && SystemCall(SysSeccomp, SetModeFilter, 0, &program) == 0);
    }

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern long SystemCall(long number, long operation, long flags, Program* program);
}
