using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Channel.Host;

namespace NetKernel.Cli.Run;

/// <summary>
/// Turns this process into the program: enters the guest's namespace, undoes what the .NET runtime changed (SIGPIPE, the signal mask, the limit
/// on files), rules out io_uring, and calls execve, all on one thread. The program then has this process's id, terminal, parent and open files; its exit
/// code and signals are its own.
/// </summary>
internal static unsafe class Launcher
{
    private const int CloneNewNet = 0x40000000, CloneNewNs = 0x20000, MountBind = 0x1000, MountRecursive = 0x4000, MountSlave = 1 << 19, SigPipe = 13, SigSetMask = 2, LimitFiles = 7;

    private const string Loopback = "NETKERNEL_LOOPBACK";

    /// <summary>The environment for a program in a guest.</summary>
    public static Dictionary<string, string> Environment(Guest guest, bool covered, bool carryLoopback = false)
    {
        var environment = new Dictionary<string, string>();
        foreach (DictionaryEntry entry in System.Environment.GetEnvironmentVariables())
        {
            environment[(string)entry.Key] = (string?)entry.Value ?? "";
        }

        if (covered)
        {
            if (guest.Library.AsSpan().IndexOfAny(' ', ':') >= 0)
            {
                throw CliException.Failure($"the path of the guest library has a space or a colon, which LD_PRELOAD cannot hold: move {guest.Library}");
            }

            environment["LD_PRELOAD"] = environment.TryGetValue("LD_PRELOAD", out string? others) && others.Length > 0
                ? guest.Library + ":" + others
                : guest.Library;
        }

        environment["NETKERNEL_ATTACH"] = guest.AttachPath;
        _ = environment.Remove(Loopback);
        if (carryLoopback)
        {
            environment[Loopback] = "netkernel";
        }

        return environment;
    }

    /// <summary>Does not return, except by an exception.</summary>
    public static void Become(Guest guest, string path, IReadOnlyList<string> arguments, bool covered, bool carryLoopback)
    {
        Dictionary<string, string> environment = Environment(guest, covered, carryLoopback);
        RuntimeFiles.Remove();
        if (guest.NamespacePid != 0)
        {
            // A user namespace cannot be entered by a process with threads: nsenter has none.
            string nsenter = ProgramSearch.Find("nsenter", ProgramSearch.DefaultPath) ?? throw CliException.Failure("nsenter is missing: apt-get install util-linux");
            List<string> words = ["nsenter", "--preserve-credentials", "-U", "-n", "-t", guest.NamespacePid.ToString(CultureInfo.InvariantCulture), "--", "/usr/bin/env"];
            words.AddRange(new[] { "LD_PRELOAD", "NETKERNEL_ATTACH" }.Where(environment.ContainsKey).Select(name => $"{name}={environment[name]}"));
            _ = environment.Remove("LD_PRELOAD");
            words.Add(path);
            words.AddRange(arguments.Skip(1));
            (path, arguments) = (nsenter, words);
        }
        else if (guest.NamespacePath.Length > 0)
        {
            Enter(guest.NamespacePath);
            Overlay(GuestFiles.Of(guest));
        }

        nint argv = Strings(arguments);
        nint envp = Strings([.. environment.Select(pair => $"{pair.Key}={pair.Value}")]);
        RestoreFileLimit();
        if (CpuList.Parse(guest.ProgramCpus) is { } cpus && CpuList.Bind(cpus) is var error and not 0)
        {
            throw CliException.Failure($"cannot run on the CPUs that nkd's placement says, {guest.ProgramCpus}: {Libc.Describe(error)}");
        }

        if (covered)
        {
            _ = UringFilter.TryInstall();
        }

        _ = Signal(SigPipe, 0);
        byte* none = stackalloc byte[128];
        new Span<byte>(none, 128).Clear();
        _ = SigMask(SigSetMask, none, null);
        _ = Execve(path, argv, envp);
        int errno = Libc.Errno;
        throw new CliException(ExitCode.CannotRun, $"cannot run {path}: {Libc.Describe(errno)}");
    }

    private static void Enter(string path)
    {
        int fd = Open(path, Libc.O_CLOEXEC);
        int errno = Libc.Errno;
        if (fd >= 0 && SetNs(fd, CloneNewNet) == 0)
        {
            return;
        }

        errno = fd < 0 ? errno : Libc.Errno;
        throw CliException.Failure(
            errno == Libc.EPERM ? "entering a guest needs root: use sudo, or `nk up --mode host` for a try-out without privileges"
            : $"cannot enter the guest's namespace {path}: {Libc.Describe(errno)}");
    }

    // A mount namespace of the program's own, where the files lie over those of /etc; what is mounted outside later is still seen. As ip netns exec does it.
    private static void Overlay(List<(string Source, string Target)> files)
    {
        if (files.Count == 0)
        {
            return;
        }

        if (Unshare(CloneNewNs) != 0 || Mount("", "/", null, MountSlave | MountRecursive, 0) != 0)
        {
            throw CliException.Failure($"cannot give the guest files of its own: {Libc.Describe(Libc.Errno)}");
        }

        foreach ((string source, string target) in files)
        {
            if (Mount(source, target, null, MountBind, 0) != 0)
            {
                int errno = Libc.Errno;
                throw CliException.Failure(
                    errno == Libc.ENOENT ? $"the guest has its own {target}, but the host has none for it to lie over: touch {target}"
                    : $"cannot put {source} over {target}: {Libc.Describe(errno)}");
            }
        }
    }

    // .NET raises the soft limit on open files to the hard one; the program gets what nk was given: what its parent has.
    private static void RestoreFileLimit()
    {
        try
        {
            string stat = File.ReadAllText("/proc/self/stat");
            string parent = stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[1];
            string line = File.ReadLines($"/proc/{parent}/limits").First(line => line.StartsWith("Max open files", StringComparison.Ordinal));
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            ulong* limits = stackalloc ulong[2];
            if (GetLimit(LimitFiles, limits) == 0 && ulong.TryParse(words[3], CultureInfo.InvariantCulture, out ulong soft) && soft <= limits[1])
            {
                limits[0] = soft;
                _ = SetLimit(LimitFiles, limits);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidOperationException or IndexOutOfRangeException)
        {
            // The parent is gone or hidden: the raised limit does no harm.
        }
    }

    // A null-terminated array of C strings that lives until execve.
    private static nint Strings(IReadOnlyList<string> texts)
    {
        nint* array = (nint*)NativeMemory.AllocZeroed((nuint)texts.Count + 1, (nuint)sizeof(nint));
        for (int i = 0; i < texts.Count; i++)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(texts[i] + "\0");
            nint copy = (nint)NativeMemory.Alloc((nuint)bytes.Length);
            Marshal.Copy(bytes, 0, copy, bytes.Length);
            array[i] = copy;
        }

        return (nint)array;
    }

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "setns", SetLastError = true)]
    private static extern int SetNs(int fd, int type);

    [DllImport("libc", EntryPoint = "unshare", SetLastError = true)]
    private static extern int Unshare(int flags);

    [DllImport("libc", EntryPoint = "mount", SetLastError = true)]
    private static extern int Mount(
        [MarshalAs(UnmanagedType.LPUTF8Str)] string source, [MarshalAs(UnmanagedType.LPUTF8Str)] string target,
        [MarshalAs(UnmanagedType.LPUTF8Str)] string? type, nuint flags, nint data);

    [DllImport("libc", EntryPoint = "execve", SetLastError = true)]
    private static extern int Execve([MarshalAs(UnmanagedType.LPUTF8Str)] string path, nint argv, nint envp);

    [DllImport("libc", EntryPoint = "signal")]
    private static extern nint Signal(int signal, nint handler);

    [DllImport("libc", EntryPoint = "pthread_sigmask")]
    private static extern int SigMask(int how, byte* set, byte* old);

    [DllImport("libc", EntryPoint = "getrlimit")]
    private static extern int GetLimit(int resource, ulong* limits);

    [DllImport("libc", EntryPoint = "setrlimit")]
    private static extern int SetLimit(int resource, ulong* limits);
}
