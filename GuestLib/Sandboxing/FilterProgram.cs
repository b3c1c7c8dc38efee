using System.Runtime.InteropServices;

namespace NetKernel.GuestLib;

/// <summary>What a filter says to a system call.</summary>
internal enum FilterVerdict
{
    Allowed,
    Refused,

    /// <summary>It depends on the call's arguments.</summary>
    Depends,
}

/// <summary>struct sock_filter (linux/filter.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct FilterInstruction
{
    internal ushort Code;
    internal byte IfTrue;
    internal byte IfFalse;
    internal uint Value;
}

/// <summary>struct sock_fprog.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FilterProgram
{
    /// <summary>BPF_MAXINSNS.</summary>
    internal const int Most = 4096;

    private const ushort LoadWord = 0x20, And = 0x54, Jump = 0x05, JumpIfEqual = 0x15, JumpIfGreater = 0x25, JumpIfAtLeast = 0x35, JumpIfAnyOf = 0x45, Return = 0x06;
    private const uint NumberOffset = 0, ArchitectureOffset = 4; // of struct seccomp_data
    private const uint X64 = 0xC000003E; // AUDIT_ARCH_X86_64
    private const uint ReturnAction = 0x7FFF0000, ReturnLog = 0x7FFC0000, ReturnAllow = 0x7FFF0000;

    internal ushort Length;
    internal FilterInstruction* Instructions;

    /// <summary>
    /// Runs the program for a system call as far as its number decides. Jumps go forwards only, so it ends after as many steps as it has instructions.
    /// Instructions other than those that compare numbers are for arguments.
    /// </summary>
    internal readonly FilterVerdict Judge(int number)
    {
        uint accumulator = 0;
        for (uint at = 0; at < Length; at++)
        {
            FilterInstruction i = Instructions[at];
            switch (i.Code)
            {
                case LoadWord when i.Value is NumberOffset or ArchitectureOffset:
                    accumulator = i.Value == NumberOffset ? (uint)number : X64;
                    break;
                case And:
                    accumulator &= i.Value;
                    break;
                case Jump:
                    at += i.Value;
                    break;
                case JumpIfEqual:
                    at += accumulator == i.Value ? i.IfTrue : i.IfFalse;
                    break;
                case JumpIfGreater:
                    at += accumulator > i.Value ? i.IfTrue : i.IfFalse;
                    break;
                case JumpIfAtLeast:
                    at += accumulator >= i.Value ? i.IfTrue : i.IfFalse;
                    break;
                case JumpIfAnyOf:
                    at += (accumulator & i.Value) != 0 ? i.IfTrue : i.IfFalse;
                    break;
                case Return:
                    return (i.Value & ReturnAction) is ReturnAllow or ReturnLog ? FilterVerdict.Allowed : FilterVerdict.Refused;
                default:
                    return FilterVerdict.Depends;
            }
        }

        return FilterVerdict.Depends;
    }
}
