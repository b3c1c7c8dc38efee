using System.Buffers.Binary;
using NetKernel.ControlPlane.Guests;

namespace NetKernel.ControlPlane.Tests;

/// <summary>What is said about a process, by its folder in /proc: here one that the test made.</summary>
public sealed class CoverageTests : IDisposable
{
    private const string Library = "/opt/netkernel/libnetkernel.so", Preload = "LD_PRELOAD=" + Library + "\0", Attach = "NETKERNEL_ATTACH=/run/x\0";

    private readonly string _proc = Directory.CreateTempSubdirectory("nk-proc-").FullName;
    private readonly string _folder;

    public CoverageTests()
    {
        _folder = Path.Combine(_proc, "42");
        _ = Directory.CreateDirectory(Path.Combine(_folder, "root"));
        _ = Directory.CreateDirectory(Path.Combine(_proc, "41"));
        File.WriteAllText(Path.Combine(_proc, "41", "comm"), "cleaner\n");
        File.WriteAllText(Path.Combine(_folder, "stat"), "42 (a (b) c) S 41 42 42 0");
        _ = File.CreateSymbolicLink(Path.Combine(_folder, "exe"), "/bin/sh");
        Set(Preload + Attach, loaded: true, secure: false);
    }

    public void Dispose() => Directory.Delete(_proc, recursive: true);

    [Fact]
    public void With_the_library_loaded_it_is_covered() => Assert.Null(Problem());

    [Fact]
    public void A_name_that_overwrote_the_environment_does_not_matter_when_the_library_is_loaded()
    {
        Set("nginx: worker process\0", loaded: true, secure: false);
        Assert.Null(Problem());
    }

    [Fact]
    public void An_empty_way_to_the_guest_asks_for_it()
    {
        Set(Preload + "NETKERNEL_ATTACH=\0", loaded: true, secure: false);
        Assert.Contains("asks for that", Problem());
    }

    [Fact]
    public void A_cleaned_environment_names_who_did_it()
    {
        Set("PATH=/bin\0", loaded: false, secure: false);
        Assert.Equal("its environment has no LD_PRELOAD with libnetkernel.so: it or its parent cleaner(41) removed it", Problem());
    }

    [Fact]
    public void Other_rights_than_the_callers()
    {
        Set(Attach, loaded: false, secure: true);
        Assert.Contains("set-user-ID", Problem());
    }

    [Fact]
    public void A_root_without_the_library()
    {
        Set(Preload + Attach, loaded: false, secure: false);
        Assert.Equal($"its root folder has no {Library}: the loader could not find it", Problem());
    }

    [Fact]
    public void A_library_that_is_there_and_not_loaded()
    {
        string there = Path.Combine(_folder, "root") + Library;
        _ = Directory.CreateDirectory(Path.GetDirectoryName(there)!);
        File.WriteAllText(there, "");
        Set(Preload + Attach, loaded: false, secure: false);
        Assert.Contains("could not load", Problem());
    }

    [Fact]
    public void A_static_program_and_a_Go_program_though_it_has_the_library()
    {
        byte[] elf = new byte[256];
        "\u007fELF\u0002\u0001"u8.CopyTo(elf);
        elf[18] = 62;
        elf[32] = 64; // one program header at 64
        elf[54] = 56;
        elf[56] = 1;
        Exe(elf);
        Assert.Contains("statically linked", Problem());
        elf[64] = 4; // PT_NOTE
        elf[64 + 8] = 128;
        elf[64 + 32] = 64;
        "Go\0\0"u8.CopyTo(elf.AsSpan(128 + 12));
        Exe(elf);
        Assert.Contains("Go program", Problem());
    }

    [Fact]
    public void A_process_that_is_gone_is_an_IOException()
    {
        Directory.Delete(_folder, recursive: true);
        _ = Assert.ThrowsAny<IOException>(Problem);
    }

    private void Exe(byte[] elf)
    {
        string program = Path.Combine(_proc, "program");
        File.WriteAllBytes(program, elf);
        File.Delete(Path.Combine(_folder, "exe"));
        _ = File.CreateSymbolicLink(Path.Combine(_folder, "exe"), program);
    }

    private void Set(string environment, bool loaded, bool secure)
    {
        File.WriteAllText(Path.Combine(_folder, "environ"), environment);
        File.WriteAllText(Path.Combine(_folder, "maps"), "7f00-7f01 r-xp 00000000 08:01 1 /lib/libc.so.6\n" + (loaded ? $"7f02-7f03 r-xp 00000000 08:01 2 {Library}\n" : ""));
        byte[] pairs = new byte[48];
        BinaryPrimitives.WriteUInt64LittleEndian(pairs, 33);
        BinaryPrimitives.WriteUInt64LittleEndian(pairs.AsSpan(16), 23); // AT_SECURE
        BinaryPrimitives.WriteUInt64LittleEndian(pairs.AsSpan(24), secure ? 1u : 0);
        File.WriteAllBytes(Path.Combine(_folder, "auxv"), pairs);
    }

    private string? Problem() => Coverage.Problem(_folder, Library);
}
