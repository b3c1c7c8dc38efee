// Attributes the compilers read; none has any behaviour.
namespace System
{
    public class Attribute { }

    public enum AttributeTargets { Struct = 8, Method = 64, Field = 256, All = 32767 }

    public sealed class AttributeUsageAttribute : Attribute
    {
        public AttributeUsageAttribute(AttributeTargets targets) { }
        public bool AllowMultiple { get; set; }
        public bool Inherited { get; set; }
    }

    public sealed class ParamArrayAttribute : Attribute { }
    public sealed class FlagsAttribute : Attribute { }

    public sealed class ObsoleteAttribute : Attribute
    {
        public ObsoleteAttribute(string message) { }
        public ObsoleteAttribute(string message, bool error) { }
    }
}

namespace System.Reflection
{
    public sealed class DefaultMemberAttribute : Attribute { public DefaultMemberAttribute(string name) { } }
}

namespace System.Diagnostics
{
    public sealed class ConditionalAttribute : Attribute { public ConditionalAttribute(string symbol) { } }
}

namespace System.Diagnostics.CodeAnalysis
{
    public sealed class UnscopedRefAttribute : Attribute { }
    public sealed class DoesNotReturnAttribute : Attribute { }
    public sealed class SuppressMessageAttribute : Attribute
    {
        public SuppressMessageAttribute(string category, string id) { }
        public string? Justification { get; set; }
    }
}

namespace System.Runtime
{
    /// <summary>The method under a C name, with the C calling convention for integers and pointers.</summary>
    public sealed class RuntimeExportAttribute : Attribute { public RuntimeExportAttribute(string entry) { } }

    /// <summary>A C function by name: library "*", the name, on an extern method with InternalCall.</summary>
    public sealed class RuntimeImportAttribute : Attribute { public RuntimeImportAttribute(string library, string entry) { } }
}

namespace System.Runtime.InteropServices
{
    public enum LayoutKind { Sequential = 0, Explicit = 2, Auto = 3 }
    public enum CharSet { None = 1, Ansi = 2, Unicode = 3, Auto = 4 }
    public sealed class UnmanagedType { }

    public sealed class StructLayoutAttribute : Attribute
    {
        public StructLayoutAttribute(LayoutKind kind) { }
        public int Size;
        public int Pack;
        public CharSet CharSet;
    }

    public sealed class FieldOffsetAttribute : Attribute { public FieldOffsetAttribute(int offset) { } }
    public sealed class InAttribute : Attribute { }
    public sealed class OutAttribute : Attribute { }

    public sealed class UnmanagedCallersOnlyAttribute : Attribute
    {
        public Type[]? CallConvs;
        public string? EntryPoint;
    }
}

namespace System.Runtime.CompilerServices
{
    public enum MethodImplOptions
    {
        NoInlining = 8,
        AggressiveInlining = 256,
        AggressiveOptimization = 512,
        InternalCall = 4096,
    }

    public sealed class MethodImplAttribute : Attribute { public MethodImplAttribute(MethodImplOptions options) { } }
    public sealed class IntrinsicAttribute : Attribute { }
    public sealed class SkipLocalsInitAttribute : Attribute { }
    public sealed class InlineArrayAttribute : Attribute { public InlineArrayAttribute(int length) { } }
    public sealed class UnsafeValueTypeAttribute : Attribute { }
    public sealed class IsReadOnlyAttribute : Attribute { }
    public sealed class IsUnmanagedAttribute : Attribute { }
    public sealed class IsByRefLikeAttribute : Attribute { }
    public sealed class ScopedRefAttribute : Attribute { }
    public sealed class IsExternalInit { }
    public static class IsVolatile { }

    public sealed class FixedBufferAttribute : Attribute { public FixedBufferAttribute(Type element, int length) { } }

    public sealed class CompilerFeatureRequiredAttribute : Attribute
    {
        public CompilerFeatureRequiredAttribute(string feature) { }
        public bool IsOptional { get; set; }
    }

    public sealed class RequiredMemberAttribute : Attribute { }
    public sealed class CompilationRelaxationsAttribute : Attribute { public CompilationRelaxationsAttribute(int value) { } }
    public sealed class RuntimeCompatibilityAttribute : Attribute { public bool WrapNonExceptionThrows { get; set; } }

    public class CallConvCdecl { }
    public class CallConvSuppressGCTransition { }

    public static class RuntimeHelpers
    {
        public static unsafe int OffsetToStringData => sizeof(nint) + sizeof(int);
    }

    public static class RuntimeFeature
    {
        public const string ByRefFields = "ByRefFields";
        public const string DefaultImplementationsOfInterfaces = "DefaultImplementationsOfInterfaces";
        public const string NumericIntPtr = "NumericIntPtr";
        public const string UnmanagedSignatureCallingConvention = "UnmanagedSignatureCallingConvention";
        public const string VirtualStaticsInInterfaces = "VirtualStaticsInInterfaces";
    }
}
