// The types the C# compiler and ILC know by name. Their operators are the compiler's own.
namespace System;

public class Object
{
    // Layout contract with ILC: every object starts with its type.
#pragma warning disable IDE0051
    private nint _methodTable;
#pragma warning restore IDE0051

    public Object() { }
}

public abstract class ValueType { }
public abstract class Enum : ValueType { }
public abstract class Array { }
public abstract class Delegate { }
public abstract class MulticastDelegate : Delegate { }
public abstract class Type { }
public class Exception { }

public struct Void { }
public struct Boolean { }
public struct Char { }

public struct SByte { public const sbyte MaxValue = 127, MinValue = -128; }
public struct Byte { public const byte MaxValue = 255, MinValue = 0; }
public struct Int16 { public const short MaxValue = 32767, MinValue = -32768; }
public struct UInt16 { public const ushort MaxValue = 65535, MinValue = 0; }
public struct Int32 { public const int MaxValue = 0x7fffffff, MinValue = unchecked((int)0x80000000); }
public struct UInt32 { public const uint MaxValue = 0xffffffff, MinValue = 0; }
public struct Int64 { public const long MaxValue = 0x7fffffffffffffff, MinValue = unchecked((long)0x8000000000000000); }
public struct UInt64 { public const ulong MaxValue = 0xffffffffffffffff, MinValue = 0; }
public struct IntPtr { public static nint Zero => 0; }
public struct UIntPtr { public static nuint Zero => 0; }
public struct Single { }
public struct Double { }

public sealed class String { public readonly int Length; }

public struct RuntimeTypeHandle { }
public struct RuntimeMethodHandle { }
public struct RuntimeFieldHandle { }
public struct Nullable<T> where T : struct { }

public interface IEquatable<T> { bool Equals(T other); }
public interface IDisposable { void Dispose(); }
