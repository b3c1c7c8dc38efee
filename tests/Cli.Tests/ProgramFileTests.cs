using System.Diagnostics;
using NetKernel.Cli.Run;

namespace NetKernel.Cli.Tests;

/// <summary>What nk run says about program files, on real ones.</summary>
public sealed class ProgramFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nk-elf-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("sh")]
    [InlineData("env")]
    [InlineData("ls")]
    public void Dynamic_programs_are_covered(string name) => Assert.Null(Examine(ProgramSearch.Find(name, ProgramSearch.DefaultPath)!));

    [Fact]
    public void A_static_program_is_not()
    {
        if (ProgramSearch.Find("gcc", ProgramSearch.DefaultPath) is null)
        {
            return;
        }

        Assert.Contains("statically linked", Examine(Compile("-static")));
        Assert.Contains("statically linked", Examine(Compile("-static-pie")));
        Assert.Null(Examine(Compile("-pie")));
    }

    [Fact]
    public void Set_user_id_and_set_group_id_are_not()
    {
        string copy = Copy();
        File.SetUnixFileMode(copy, (UnixFileMode)0x9ED /* 04755 */);
        Assert.Contains("set-user-ID", Examine(copy));
        File.SetUnixFileMode(copy, (UnixFileMode)0x5ED /* 02755 */);
        Assert.Contains("set-group-ID", Examine(copy));
    }

    [Fact]
    public void File_capabilities_are_not()
    {
        string copy = Copy();
        string? setcap = ProgramSearch.Find("setcap", ProgramSearch.DefaultPath);
        if (setcap is null || !Environment.IsPrivilegedProcess || Shell($"{setcap} cap_net_raw+ep {copy}") != 0)
        {
            return;
        }

        Assert.Contains("file capabilities", Examine(copy));
    }

    [Theory]
    [InlineData("#!/bin/sh\n", null)]
    [InlineData("#! /usr/bin/env -S sh -e\n", null)]
    [InlineData("#!/usr/bin/env sh\n", null)]
    [InlineData("#!/no/such/interpreter\n", "/no/such/interpreter does not exist")]
    [InlineData("#!\n", "names no interpreter")]
    [InlineData("echo hello\n", "neither an ELF program nor a script")]
    [InlineData("", "neither an ELF program nor a script")]
    [InlineData("\u007fELF", "neither an ELF program nor a script")]
    public void A_script_is_what_its_interpreter_is(string text, string? problem)
    {
        string? found = Examine(Write("script", text));
        if (problem is null)
        {
            Assert.Null(found);
        }
        else
        {
            Assert.Contains(problem, found);
        }
    }

    [Fact]
    public void A_script_that_is_its_own_interpreter_ends_the_search()
    {
        string path = Path.Combine(_folder, "loop");
        _ = Write("loop", $"#!{path}\n");
        Assert.Contains("nested too deeply", Examine(path));
    }

    [Fact]
    public void Another_architecture_is_named()
    {
        byte[] bytes = File.ReadAllBytes("/bin/sh");
        bytes[18] = 183;
        Assert.Contains("ARM64", Examine(Write("arm", bytes)));
        bytes[18] = 3;
        bytes[4] = 1;
        Assert.Contains("32-bit x86", Examine(Write("i386", bytes)));
    }

    [Fact]
    public void A_Go_program_is_named_as_such()
    {
        byte[] bytes = File.ReadAllBytes("/bin/sh");
        int note = FindNote(bytes);
        "Go\0\0"u8.CopyTo(bytes.AsSpan(note + 12));
        Assert.Contains("Go program", Examine(Write("go", bytes)));
    }

    [Fact]
    public void Damaged_headers_never_throw()
    {
        byte[] good = File.ReadAllBytes("/bin/sh");
        var random = new Random(7);
        for (int round = 0; round < 300; round++)
        {
            byte[] bytes = good[..random.Next(1, 2048)];
            for (int i = 0; i < 8; i++)
            {
                bytes[random.Next(Math.Min(bytes.Length, 1024))] = (byte)random.Next(256);
            }

            _ = Examine(Write("damaged", bytes));
        }
    }

    private static string? Examine(string path) => ProgramFile.Examine(path, ProgramSearch.DefaultPath).Problem;

    // The first PT_NOTE whose content is long enough for an owner's name.
    private static int FindNote(byte[] bytes)
    {
        int table = (int)BitConverter.ToUInt64(bytes, 32);
        int count = BitConverter.ToUInt16(bytes, 56);
        for (int i = 0; i < count; i++)
        {
            int at = table + (i * 56);
            if (BitConverter.ToUInt32(bytes, at) == 4)
            {
                return (int)BitConverter.ToUInt64(bytes, at + 8);
            }
        }

        throw new InvalidOperationException("no note");
    }

    private static int Shell(string script)
    {
        using Process process = Process.Start("/bin/sh", ["-c", script]);
        process.WaitForExit();
        return process.ExitCode;
    }

    private string Copy() => Write("copy", File.ReadAllBytes("/bin/sh"));

    private string Write(string name, string text) => Write(name, System.Text.Encoding.UTF8.GetBytes(text));

    private string Write(string name, byte[] bytes)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllBytes(path, bytes);
        File.SetUnixFileMode(path, (UnixFileMode)0x1ED);
        return path;
    }

    private string Compile(string how)
    {
        string source = Path.Combine(_folder, "p.c");
        File.WriteAllText(source, "int main(void) { return 0; }\n");
        string target = Path.Combine(_folder, "p" + how);
        Assert.Equal(0, Shell($"gcc {how} -o {target} {source}"));
        return target;
    }
}
