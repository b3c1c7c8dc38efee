// Methods that ILC calls by name from the code it makes, or insists on finding. Whatever needs a heap or a type system at run
// time is a stub: nothing reaches it.
using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;

namespace System
{
    internal static unsafe class Buffer
    {
        internal static void BulkMoveWithWriteBarrier(ref byte destination, ref byte source, nuint bytes) =>
            SpanHelpers.Memmove(ref destination, ref source, bytes);

        public static void MemoryCopy(void* source, void* destination, long destinationBytes, long bytes)
        {
            if (bytes > destinationBytes) Internal.Runtime.LibC.abort();
            Internal.Runtime.LibC.memmove(destination, source, (nuint)bytes);
        }
    }

    /// <summary>Copies and fills of structs too large for inline moves.</summary>
    internal static unsafe class SpanHelpers
    {
        internal static void Memmove(ref byte destination, ref byte source, nuint bytes) =>
            Internal.Runtime.LibC.memmove(Unsafe.AsPointer(ref destination), Unsafe.AsPointer(ref source), bytes);

        internal static void Fill(ref byte destination, byte value, nuint bytes) =>
            Internal.Runtime.LibC.memset(Unsafe.AsPointer(ref destination), value, bytes);

        internal static void ClearWithoutReferences(ref byte destination, nuint bytes) =>
            Internal.Runtime.LibC.memset(Unsafe.AsPointer(ref destination), 0, bytes);
    }
}

namespace System.Runtime
{
    internal static unsafe class TypeCast
    {
        internal static object IsInstanceOfAny(void* type, object value) => value;
        internal static object IsInstanceOfException(void* type, object value) => value;
        internal static object IsInstanceOfInterface(void* type, object value) => value;
        internal static object IsInstanceOfClass(void* type, object value) => value;
        internal static object CheckCastAny(void* type, object value) => value;
        internal static object CheckCastInterface(void* type, object value) => value;
        internal static object CheckCastClass(void* type, object value) => value;
        internal static object CheckCastClassSpecial(void* type, object value) => value;
        internal static void StelemRef(object[] array, nint index, object value) { }
        internal static ref object LdelemaRef(object[] array, nint index, nint type) => ref *(object*)null;
        internal static void CheckArrayStore(object array, object value) { }
        internal static bool AreTypesAssignable(void* source, void* target) => true;
    }
}

namespace System.Runtime.InteropServices
{
    internal interface IDynamicInterfaceCastable
    {
        bool IsInterfaceImplemented(RuntimeTypeHandle type, bool throwIfNot);
        RuntimeTypeHandle GetInterfaceImplementation(RuntimeTypeHandle type);
        static nint GetDynamicInterfaceImplementation(IDynamicInterfaceCastable instance, nint type, ushort slot) => 0;
    }
}

namespace Internal.Runtime
{
    internal static unsafe class LibC
    {
        [RuntimeImport("*", "abort"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern void abort();

        [RuntimeImport("*", "memmove"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern void* memmove(void* destination, void* source, nuint bytes);

        [RuntimeImport("*", "memset"), MethodImpl(MethodImplOptions.InternalCall)]
        internal static extern void* memset(void* destination, int value, nuint bytes);
    }

    internal static class TrapThreads
    {
        internal static int Never;
    }

    internal static class RuntimeEntryPoints
    {
        // Around [UnmanagedCallersOnly] methods: no runtime, no transition.
        [RuntimeExport("RhpReversePInvoke")] private static void ReversePInvoke(nint frame) { }
        [RuntimeExport("RhpReversePInvokeReturn")] private static void ReversePInvokeReturn(nint frame) { }

        // Around calls through unmanaged function pointers without SuppressGCTransition; correct, but two calls more.
        [RuntimeExport("RhpPInvoke")] private static void PInvoke(nint frame) { }
        [RuntimeExport("RhpPInvokeReturn")] private static void PInvokeReturn(nint frame) { }

        // Calls through unmanaged function pointers ask RhpTrapThreads whether a collection wants to run, and would then
        // come here. The linker puts that symbol on TrapThreads.Never (GuestLib.csproj), which stays zero.
        [RuntimeExport("RhpGcPoll")]
        private static void GcPoll()
        {
            if (Volatile.Read(ref TrapThreads.Never) != 0) LibC.abort();
        }

        // Frames of more than three pages call it. It must keep every register, so it has to stay empty (a single ret):
        // a frame larger than the guard area is not caught by it.
        [RuntimeExport("RhpStackProbe")] private static void StackProbe() { }

        /// <summary>A stack buffer was overrun.</summary>
        [RuntimeExport("RhpFallbackFailFast")] private static void FailFast() => LibC.abort();
    }
}

namespace Internal.Runtime.CompilerHelpers
{
    internal static class ThrowHelpers
    {
        private static void ThrowOverflowException() => LibC.abort();
        private static void ThrowIndexOutOfRangeException() => LibC.abort();
        private static void ThrowNullReferenceException() => LibC.abort();
        private static void ThrowDivideByZeroException() => LibC.abort();
        private static void ThrowArrayTypeMismatchException() => LibC.abort();
        private static void ThrowPlatformNotSupportedException() => LibC.abort();
        private static void ThrowNotImplementedException() => LibC.abort();
        private static void ThrowNotSupportedException() => LibC.abort();
        private static void ThrowBadImageFormatException(int id) => LibC.abort();
        private static void ThrowTypeLoadException(int id, string type, string module) => LibC.abort();
        private static void ThrowTypeLoadExceptionWithArgument(int id, string type, string module, string argument) => LibC.abort();
        private static void ThrowMissingMethodException(int id, string method) => LibC.abort();
        private static void ThrowMissingFieldException(int id, string field) => LibC.abort();
        private static void ThrowFileNotFoundException(int id, string file) => LibC.abort();
        private static void ThrowInvalidProgramException(int id) => LibC.abort();
        private static void ThrowInvalidProgramExceptionWithArgument(int id, string method) => LibC.abort();
        private static void ThrowMarshalDirectiveException(int id) => LibC.abort();
        private static void ThrowAmbiguousMatchException(int id) => LibC.abort();
        private static void ThrowArgumentException() => LibC.abort();
        private static void ThrowArgumentOutOfRangeException() => LibC.abort();
        private static void ThrowUnableToLoadDll() => LibC.abort();
        private static void ThrowInvokeOpenGenericMethod() => LibC.abort();
        private static void ThrowInstanceBodyRemoved() => LibC.abort();
        private static void ThrowUnreachableException() => LibC.abort();
        private static void ThrowBodyRemoved() => LibC.abort();
        private static void ThrowFeatureBodyRemoved() => LibC.abort();
        private static void ThrowStaticMethodInInterface() => LibC.abort();
    }
}
