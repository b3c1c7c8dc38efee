namespace NetKernel.Channel.Host;

/// <summary>eBPF instructions (RFC 9669), one after the other, with labels to jump to. Numbers of registers are 0 to 10; the frame's end is 10.</summary>
public sealed class BpfAssembler
{
    /// <summary>The frame's end.</summary>
    public const int Frame = 10;

    private readonly List<ulong> _code = [];
    private readonly List<(int At, string Label)> _jumps = [];
    private readonly Dictionary<string, int> _labels = [];

    /// <summary>The program, with its jumps resolved.</summary>
    public ulong[] Assemble()
    {
        ulong[] code = [.. _code];
        foreach ((int at, string label) in _jumps)
        {
            code[at] |= (ulong)(ushort)(short)(_labels[label] - at - 1) << 16;
        }

        return code;
    }

    /// <summary>Names the place of the next instruction.</summary>
    public void Label(string name) => _labels.Add(name, _code.Count);

    /// <summary>Copies a register.</summary>
    public void Move(int to, int from) => Emit(0xBF, to, from, 0, 0);

    /// <summary>Sets a register to a number.</summary>
    public void Set(int to, int value) => Emit(0xB7, to, 0, 0, value);

    /// <summary>Adds a number.</summary>
    public void Add(int to, int value) => Emit(0x07, to, 0, 0, value);

    /// <summary>Adds a register.</summary>
    public void AddRegister(int to, int from) => Emit(0x0F, to, from, 0, 0);

    /// <summary>Ands with a number.</summary>
    public void And(int to, int value) => Emit(0x57, to, 0, 0, value);

    /// <summary>Shifts.</summary>
    public void ShiftLeft(int to, int bits) => Emit(0x67, to, 0, 0, bits);

    /// <summary>Loads 1, 2, 4 or 8 bytes at a register's address.</summary>
    public void Load(int bytes, int to, int from, int offset) => Emit(0x61 | Size(bytes), to, from, offset, 0);

    /// <summary>Stores that many bytes of a register.</summary>
    public void Store(int bytes, int to, int offset, int from) => Emit(0x63 | Size(bytes), to, from, offset, 0);

    /// <summary>Stores a number.</summary>
    public void StoreValue(int bytes, int to, int offset, int value) => Emit(0x62 | Size(bytes), to, 0, offset, value);

    /// <summary>Jumps.</summary>
    public void Jump(string label) => JumpTo(0x05, 0, 0, label);

    /// <summary>Jumps when a register is that number.</summary>
    public void JumpIfEqual(int register, int value, string label) => JumpTo(0x15, register, value, label);

    /// <summary>Jumps when a register is another number.</summary>
    public void JumpIfNot(int register, int value, string label) => JumpTo(0x55, register, value, label);

    /// <summary>Compares two registers.</summary>
    public void JumpIfSame(int one, int other, string label)
    {
        _jumps.Add((_code.Count, label));
        Emit(0x1D, one, other, 0, 0);
    }

    /// <summary>Loads a map's address, by its fd.</summary>
    public void LoadMap(int to, int map)
    {
        Emit(0x18, to, 1, 0, map); // BPF_PSEUDO_MAP_FD
        _code.Add(0);
    }

    /// <summary>Calls a helper (linux/bpf.h).</summary>
    public void Call(int helper) => Emit(0x85, 0, 0, 0, helper);

    /// <summary>Ends; register 0 is the result.</summary>
    public void Exit() => Emit(0x95, 0, 0, 0, 0);

    private static int Size(int bytes) => bytes switch
    {
        1 => 0x10,
        2 => 0x08,
        4 => 0,
        _ => 0x18,
    };

    private void JumpTo(int code, int register, int value, string label)
    {
        _jumps.Add((_code.Count, label));
        Emit(code, register, 0, 0, value);
    }

    private void Emit(int code, int to, int from, int offset, int value) =>
        _code.Add((uint)code | ((ulong)(uint)to << 8) | ((ulong)(uint)from << 12) | ((ulong)(ushort)(short)offset << 16) | ((ulong)(uint)value << 32));
}
