using System.Buffers.Binary;
using System.Text;

namespace NetKernel.Channel.Host;

/// <summary>bpf(2), as far as the programs here need it. Failures are <see cref="InvalidOperationException"/>s with the kernel's reason.</summary>
public static unsafe class Bpf
{
    /// <summary>Kinds of maps (linux/bpf.h).</summary>
    public const uint Hash = 1, LruHash = 9, XskMap = 17;

    /// <summary>Kinds of programs: of a device's traffic control, of its driver.</summary>
    public const uint SchedCls = 3, Xdp = 6;

    /// <summary>Attach types: what comes from a device (to the bridge), what goes to it.</summary>
    public const uint TcxIngress = 46, TcxEgress = 47;

    /// <summary>How an XDP program is attached (linux/if_link.h): behind the driver, as the kernel can for any device, or in it.</summary>
    public const uint XdpGeneric = 2, XdpNative = 4;

    private const int SyscallBpf = 321, AttrBytes = 128, NameBytes = 15;
    private const int MapCreate = 0, MapUpdate = 2, MapDelete = 3, MapNextKey = 4, MapLookup = 1, ProgLoad = 5, ProgAttach = 8, ProgFdById = 13, MapFdById = 14, ObjectInfo = 15, ProgQuery = 16, LinkCreate = 28;
    private const uint XdpAttach = 37;

    /// <summary>Makes a map; returns its fd. Sizes in bytes.</summary>
    public static int CreateMap(string name, uint type, uint key, uint value, uint entries)
    {
        Span<byte> attr = stackalloc byte[AttrBytes];
        Put(attr, type, key, value, entries);
        PutName(attr[28..], name);
        return Check(Call(MapCreate, attr), "a map cannot be made");
    }

    /// <summary>Loads a program of a kind; returns its fd.</summary>
    public static int LoadProgram(string name, uint type, ReadOnlySpan<ulong> code)
    {
        byte[] log = new byte[16384];
        fixed (ulong* instructions = code)
        fixed (byte* license = "GPL\0"u8, text = log)
        {
            byte[] attr = new byte[AttrBytes];
            for (uint level = 0; ; level++)
            {
                Put(attr, type, (uint)code.Length);
                BinaryPrimitives.WriteUInt64LittleEndian(attr.AsSpan(8), (ulong)instructions);
                BinaryPrimitives.WriteUInt64LittleEndian(attr.AsSpan(16), (ulong)license);
                Put(attr.AsSpan(24), level, level == 0 ? 0 : (uint)log.Length);
                BinaryPrimitives.WriteUInt64LittleEndian(attr.AsSpan(32), level == 0 ? 0 : (ulong)text);
                PutName(attr.AsSpan(48), name);
                int fd = Call(ProgLoad, attr);
                if (fd >= 0 || level > 0)
                {
                    return Check(fd, "a program is refused: " + LastButOne(Encoding.ASCII.GetString(log).TrimEnd('\0', '\n').Split('\n')));
                }
            }
        }
    }

    /// <summary>Attaches a program to a device of the network namespace that this thread is in; it stays when the fd is closed.</summary>
    public static void Attach(int program, uint device, uint where)
    {
        Span<byte> attr = stackalloc byte[AttrBytes];
        attr.Clear();
        Put(attr, device, (uint)program, where);
        _ = Check(Call(ProgAttach, attr), "a program cannot be attached (this needs Linux 6.6 or later)");
    }

    /// <summary>
    /// Attaches an XDP program to a device of the network namespace that this thread is in, in that way; returns an fd. The program goes when the fd is closed, however its process ends.
    /// </summary>
    public static int AttachXdp(int program, int device, uint how)
    {
        Span<byte> attr = stackalloc byte[AttrBytes];
        attr.Clear();
        Put(attr, (uint)program, (uint)device, XdpAttach, how);
        return Check(Call(LinkCreate, attr), "an XDP program cannot be attached");
    }

    /// <summary>
    /// Why programs cannot be attached to devices of this namespace ("on Linux 6.1.0 (6.6 or later is needed for it)"); null: they can. A question only: older kernels do not know its attach type.
    /// </summary>
    public static string? WhyNoSteering()
    {
        const uint Loopback = 1;
        Span<byte> attr = stackalloc byte[AttrBytes];
        attr.Clear();
        Put(attr, Loopback, TcxIngress);
        int result = Call(ProgQuery, attr);
        return result >= 0 ? null
            : result == -Libc.EINVAL ? $"on Linux {Environment.OSVersion.Version.ToString(3)} (6.6 or later is needed for more)"
            : $"where bpf(2) is not permitted ({Libc.Describe(-result)})";
    }

    /// <summary>The programs attached to a device, as ids.</summary>
    public static uint[] Attached(uint device, uint where)
    {
        uint* ids = stackalloc uint[16];
        Span<byte> attr = stackalloc byte[AttrBytes];
        attr.Clear();
        Put(attr, device, where);
        BinaryPrimitives.WriteUInt64LittleEndian(attr[16..], (ulong)ids);
        Put(attr[24..], 16);
        return Call(ProgQuery, attr) < 0 ? [] : new ReadOnlySpan<uint>(ids, (int)BinaryPrimitives.ReadUInt32LittleEndian(attr[24..])).ToArray();
    }

    /// <summary>An fd of a program.</summary>
    public static int OpenProgram(uint id) => Open(ProgFdById, id);

    /// <summary>The name of a program, and the ids of its maps.</summary>
    public static (string Name, uint[] Maps) DescribeProgram(int program)
    {
        uint* maps = stackalloc uint[8];
        Span<byte> info = stackalloc byte[128];
        info.Clear();
        Put(info[52..], 8);
        BinaryPrimitives.WriteUInt64LittleEndian(info[56..], (ulong)maps);
        Describe(program, info);
        return (NameIn(info[64..]), new ReadOnlySpan<uint>(maps, (int)Math.Min(8, BinaryPrimitives.ReadUInt32LittleEndian(info[52..]))).ToArray());
    }

    /// <summary>The name of a map, and an fd of it.</summary>
    public static (string Name, int Fd) OpenMap(uint id)
    {
        int fd = Open(MapFdById, id);
        Span<byte> info = stackalloc byte[64];
        info.Clear();
        Describe(fd, info);
        return (NameIn(info[24..]), fd);
    }

    /// <summary>Writes the value of a key.</summary>
    public static void Update(int map, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value) => _ = Check(Element(MapUpdate, map, key, value), "a map cannot be written");

    /// <summary>Deletes a key, if it is there.</summary>
    public static void Delete(int map, ReadOnlySpan<byte> key) => _ = Element(MapDelete, map, key, default);

    /// <summary>The value of a key; false when it is not there.</summary>
    public static bool TryLookup(int map, ReadOnlySpan<byte> key, Span<byte> value) => Element(MapLookup, map, key, value) >= 0;

    /// <summary>The key after this one (empty: the first); false at the end.</summary>
    public static bool TryNext(int map, ReadOnlySpan<byte> key, Span<byte> next) => Element(MapNextKey, map, key, next) >= 0;

    private static int Element(int command, int map, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        fixed (byte* k = key, v = value)
        {
            Span<byte> attr = stackalloc byte[AttrBytes];
            attr.Clear();
            Put(attr, (uint)map);
            BinaryPrimitives.WriteUInt64LittleEndian(attr[8..], (ulong)k);
            BinaryPrimitives.WriteUInt64LittleEndian(attr[16..], (ulong)v);
            return Call(command, attr);
        }
    }

    private static int Open(int command, uint id)
    {
        Span<byte> attr = stackalloc byte[AttrBytes];
        attr.Clear();
        Put(attr, id);
        return Check(Call(command, attr), "a program or map cannot be opened");
    }

    private static void Describe(int fd, Span<byte> info)
    {
        fixed (byte* to = info)
        {
            Span<byte> attr = stackalloc byte[AttrBytes];
            attr.Clear();
            Put(attr, (uint)fd, (uint)info.Length);
            BinaryPrimitives.WriteUInt64LittleEndian(attr[8..], (ulong)to);
            _ = Check(Call(ObjectInfo, attr), "a program or map cannot be described");
        }
    }

    private static void Put(Span<byte> attr, params ReadOnlySpan<uint> words)
    {
        for (int i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(attr[(4 * i)..], words[i]);
        }
    }

    private static void PutName(Span<byte> field, string name) => _ = Encoding.ASCII.GetBytes(name.AsSpan(0, Math.Min(name.Length, NameBytes)), field);

    // Its last line is how much it looked at; the one before, what it did not like.
    private static string LastButOne(string[] lines) => lines[lines.Length > 1 ? ^2 : ^1];

    private static string NameIn(ReadOnlySpan<byte> field) => Encoding.ASCII.GetString(field[..16]).TrimEnd('\0');

    private static int Call(int command, Span<byte> attr)
    {
        fixed (byte* p = attr)
        {
            long result = Libc.Syscall(SyscallBpf, command, (nint)p, AttrBytes, 0, 0, 0);
            return result < 0 ? -Libc.Errno : (int)result;
        }
    }

    private static int Check(int result, string what) =>
        result >= 0 ? result : throw new InvalidOperationException($"bpf: {what} ({Libc.Describe(-result)})");
}
