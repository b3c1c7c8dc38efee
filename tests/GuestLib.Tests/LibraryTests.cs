using System.Runtime.InteropServices;

namespace NetKernel.GuestLib.Tests;

/// <summary>The preload library as a file: it loads, and its plain exports bind.</summary>
public unsafe class LibraryTests
{
    [Fact]
    public void The_library_loads_and_tells_its_version()
    {
        nint library = NativeLibrary.Load(Path.Combine(AppContext.BaseDirectory, "libnetkernel.so"));
        var version = (delegate* unmanaged<int>)NativeLibrary.GetExport(library, "nk_version");
        Assert.Equal(0x000100, version());
    }
}
