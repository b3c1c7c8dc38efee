namespace NetKernel.ControlPlane.Network.Steering;

/// <summary>eBPF instructions (RFC 9669), one after the other, with labels to jump to. Numbers of registers are 0 to 10; the frame's end is 10.</summary>
internal sealed class BpfAssembler
{
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

    public void Label(string name) => _labels.Add(name, _code.Count);

    public void Move(int to, int from) => Emit(0xBF, to, from, 0, 0);

    public void Set(int to, int value) => Emit(0xB7, to, 0, 0, value);

    public void Add(int to, int value) => Emit(0x07, to, 0, 0, value);

    public void AddRegister(int to, int from) => Emit(0x0F, to, from, 0, 0);

    public void And(int to, int value) => Emit(0x57, to, 0, 0, value);

    public void ShiftLeft(int to, int bits) => Emit(0x67, to, 0, 0, bits);

    /// <summary>Loads 1, 2, 4 or 8 bytes at a register's address.</summary>
    public void Load(int bytes, int to, int from, int offset) => Emit(0x61 | Size(bytes), to, from, offset, 0);

    public void Store(int bytes, int to, int offset, int from) => Emit(0x63 | Size(bytes), to, from, offset, 0);

    /// <summary>Stores a number.</summary>
    public void StoreValue(int bytes, int to, int offset, int value) => Emit(0x62 | Size(bytes), to, 0, offset, value);

    public void Jump(string label) => JumpTo(0x05, 0, 0, label);

    public void JumpIfEqual(int register, int value, string label) => JumpTo(0x15, register, value, label);

    public void JumpIfNot(int register, int value, string label) => JumpTo(0x55, register, value, label);

    /// <summary>Compares two registers.</summary>
    public void JumpIfSame(int one, int other, string label)
    {
        _jumps.Add((_code.Count, label));
        Emit(0x1D, one, other, 0, 0);
    }

    public void LoadMap(int to, int map)
    {
        Emit(0x18, to, 1, 0, map); // BPF_PSEUDO_MAP_FD
        _code.Add(0);
    }

    public void Call(int helper) => Emit(0x85, 0, 0, 0, helper);

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
