using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Win32.SafeHandles;
using NetKernel.Api;
using NetKernel.Api.V1;
using NetKernel.Channel.Host;
using NetKernel.Cli.Output;
using NetKernel.Cli.Run;

namespace NetKernel.Cli.Commands;

/// <summary>The checks of nk doctor, one method each. They change nothing; the namespace test removes what it makes.</summary>
internal static partial class DoctorChecks
{
    private static bool Root => Environment.IsPrivilegedProcess;

    public static IEnumerable<Finding> All(string directory) =>
    [
        Installation(), Privileges(), Namespaces(), Moving(), RunDirectory(directory), HugePages(), SharedMemory(), OpenFiles(), LockedMemory(), IoUring(), CongestionControl(),
        Ipv6(), NameServers(), DemoPrograms(), .. Leftovers(),
    ];

    private static Finding Installation()
    {
        string[] missing = [.. new[] { "nk", "nkd", "nk-engine", "nk-nsm-kernel", "libnetkernel.so" }.Where(name => Places.Find(name) is null)];
        return RuntimeInformation.ProcessArchitecture != Architecture.X64 ? Finding.Fail("installation", $"built for x86-64, this is {RuntimeInformation.ProcessArchitecture}", null)
            : missing.Length == 0 ? Finding.Ok("installation", $"complete in {Path.GetDirectoryName(Places.Find("nk-engine"))}")
            : Finding.Fail("installation", $"missing: {string.Join(", ", missing)}", "./nk build");
    }

    private static Finding Privileges() => Root
        ? Finding.Ok("privileges", "root: bridge mode")
        : Finding.Warn("privileges", "not root: host mode only", "sudo nk up, or nk up --mode host");

    private static Finding Namespaces()
    {
        if (ProgramSearch.Find("ip", ProgramSearch.DefaultPath) is null)
        {
            return Finding.Fail("namespaces", "ip is missing", "apt-get install iproute2");
        }

        if (!Root)
        {
            (int denied, _) = Shell("unshare --user --net --map-current-user true");
            return denied == 0
                ? Finding.Ok("namespaces", "user namespaces are permitted: guests get a network namespace of their own")
                : Finding.Warn("namespaces", "user namespaces are not permitted: programs stay in the host's network namespace", "sysctl kernel.unprivileged_userns_clone=1");
        }

        string name = string.Create(CultureInfo.InvariantCulture, $"nkdoctor-{Environment.ProcessId}");
        (int code, string error) = Shell(
            $"ip netns add {name} && ip -n {name} link add br0 type bridge && ip -n {name} link add v0 type veth peer name v1 && ip -n {name} link set v0 master br0");
        _ = Shell($"ip netns del {name}");
        return code == 0
            ? Finding.Ok("namespaces", "network namespaces, bridge and veth work")
            : Finding.Fail("namespaces", error, "modprobe bridge veth; in a container: give it CAP_NET_ADMIN and CAP_SYS_ADMIN");
    }

    // As nkd decides it; nkd asks the kernel, but only in the bridge's namespace.
    private static Finding Moving()
    {
        Version version = Environment.OSVersion.Version;
        return !Root ? Finding.Warn("moving", "host mode: a guest has one NSM, and cannot be moved while programs run in it", "bridge mode: sudo nk up")
            : version >= new Version(6, 6) ? Finding.Ok("moving", $"Linux {version.ToString(2)}: guests have several NSMs, and move while they run")
            : Finding.Warn("moving", $"Linux {version.ToString(2)}: a guest has one NSM, and cannot be moved while programs run in it", "Linux 6.6 or later");
    }

    private static Finding RunDirectory(string directory)
    {
        if (directory.Length > Places.MaxRunDirectoryLength)
        {
            return Finding.Fail("run directory", $"{directory} is longer than {Places.MaxRunDirectoryLength} characters", "choose a shorter --run-dir");
        }

        string parent = directory;
        while (!Directory.Exists(parent))
        {
            parent = Path.GetDirectoryName(parent) ?? "/";
        }

        return Access(parent, 2) == 0
            ? Finding.Ok("run directory", directory)
            : Finding.Fail("run directory", $"{parent} is not writable", "nk --run-dir DIR, or NETKERNEL_RUN_DIR");
    }

    private static Finding HugePages()
    {
        long free = MemInfo("HugePages_Free");
        long total = MemInfo("HugePages_Total");
        return free >= 64 ? Finding.Ok("hugepages", $"{free} of {total} free")
            : Finding.Warn("hugepages", $"{free} of {total} free: pools lie in ordinary pages", "sysctl vm.nr_hugepages=512");
    }

    private static Finding SharedMemory()
    {
        long available = MemInfo("MemAvailable") * 1024;
        var shm = new DriveInfo("/dev/shm");
        string text = $"{Units.Size(available)} of memory available; /dev/shm {Units.Size(shm.TotalSize)}";
        return available < 256 << 20 ? Finding.Fail("memory", text + ": too little for pools", "free some memory")
            : shm.TotalSize < 64 << 20 ? Finding.Warn("memory", text + " is small for programs that share memory", "mount -o remount,size=1G /dev/shm")
            : Finding.Ok("memory", text);
    }

    private static Finding OpenFiles()
    {
        ulong hard = Limit("Max open files", 1);
        return hard >= 65536
            ? Finding.Ok("open files", $"up to {hard} per process")
            : Finding.Warn("open files", $"no more than {hard} per process: as many connections per NSM at most", "ulimit -Hn 1048576 (as root), or LimitNOFILE=");
    }

    private static Finding LockedMemory()
    {
        ulong soft = Limit("Max locked memory", 0);
        return Root || soft >= 8 << 20
            ? Finding.Ok("locked memory", soft == ulong.MaxValue ? "unlimited" : Units.Size(soft))
            : Finding.Warn("locked memory", $"{Units.Size(soft)}: io_uring of older kernels needs more", "ulimit -l unlimited (as root)");
    }

    private static Finding IoUring()
    {
        unsafe
        {
            byte* parameters = stackalloc byte[120];
            new Span<byte>(parameters, 120).Clear();
            nint fd = Libc.Syscall(425, 4, (nint)parameters, 0, 0, 0, 0);
            if (fd >= 0)
            {
                _ = Libc.Close((int)fd);
                return Finding.Ok("io_uring", "allowed");
            }

            return Finding.Warn("io_uring", $"not allowed ({Libc.Describe(Libc.Errno)}): NSMs use epoll", "sysctl kernel.io_uring_disabled=0");
        }
    }

    private static Finding CongestionControl()
    {
        const string path = "/proc/sys/net/ipv4/tcp_available_congestion_control";
        string[] available = File.Exists(path) ? File.ReadAllText(path).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries) : [];
        string[] missing = [.. new[] { "cubic", "bbr", "reno" }.Except(available)];
        return missing.Length == 0
            ? Finding.Ok("congestion", string.Join(", ", available))
            : Finding.Warn("congestion", $"not available: {string.Join(", ", missing)}", "modprobe " + string.Join(" ", missing.Select(name => "tcp_" + name)));
    }

    private static Finding Ipv6() => File.Exists("/proc/net/if_inet6")
        ? Finding.Ok("ipv6", "in the kernel")
        : Finding.Fail("ipv6", "the kernel has no IPv6", "boot without ipv6.disable=1");

    private static Finding NameServers() =>
        !GuestFiles.IsUnreachable("/etc/resolv.conf") ? Finding.Ok("nameservers", "guests have the host's resolv.conf")
        : !GuestFiles.IsUnreachable("/run/systemd/resolve/resolv.conf") ? Finding.Ok("nameservers", "guests have those of systemd-resolved")
        : Finding.Warn("nameservers", "resolv.conf names none but on loopback, which guests cannot reach", "nk guest create NAME --dns ADDRESS");

    private static Finding DemoPrograms()
    {
        string[] missing = [.. Demo.DemoSteps.Programs.Where(name => ProgramSearch.Find(name, ProgramSearch.SearchPath + ":" + ProgramSearch.DefaultPath) is null)];
        return missing.Length == 0
            ? Finding.Ok("demo programs", "all there")
            : Finding.Warn("demo programs", $"missing: {string.Join(", ", missing)}", "./nk deps");
    }

    private static IEnumerable<Finding> Leftovers()
    {
        var running = new HashSet<string>();
        var found = new List<Finding>();
        foreach (string folder in Directory.Exists("/run") ? Directory.EnumerateDirectories("/run", "netkernel*") : [])
        {
            string[] words = ReadLocked(Path.Combine(folder, "nkd.pid")).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length < 2)
            {
                continue;
            }

            if (Read($"/proc/{words[0]}/comm").StartsWith("nkd", StringComparison.Ordinal))
            {
                _ = running.Add(words[1]);
            }
            else
            {
                found.Add(Finding.Warn("leftovers", $"nkd of {folder} was killed", $"nk down --run-dir {folder}"));
            }
        }

        if (found.Count == 0 && Directory.Exists("/run/netns"))
        {
            string[] names = [.. Directory.EnumerateFiles("/run/netns").Select(path => Path.GetFileName(path)!)];
            IEnumerable<string> instances = names.Select(name => NsmSpace().Match(name)).Where(match => match.Success).Select(match => match.Groups[1].Value).Distinct();
            found.AddRange(instances.Where(instance => !running.Contains(instance) && names.Contains(instance + "-br"))
                .Select(instance => Finding.Warn("leftovers", $"namespaces of instance {instance}, which is not up", $"nk down --instance {instance}")));
        }

        return found.Count > 0 ? found : [Finding.Ok("leftovers", "none")];
    }

    // nkd holds a lock on this one (flock), and .NET's own ways of reading want one, too.
    private static string ReadLocked(string path)
    {
        using var file = new SafeFileHandle(Open(path, Libc.O_CLOEXEC), ownsHandle: true);
        Span<byte> text = stackalloc byte[64 + 256]; // a process id and an instance's name
        return file.IsInvalid ? "" : Encoding.UTF8.GetString(text[..RandomAccess.Read(file, text, 0)]);
    }

    // Instances come and go meanwhile.
    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static long MemInfo(string name)
    {
        string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line.Split([' ', ':'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }

    // Columns behind the name: soft (0) and hard (1) limit.
    private static ulong Limit(string name, int column)
    {
        string line = File.ReadLines("/proc/self/limits").First(line => line.StartsWith(name, StringComparison.Ordinal));
        string word = line[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[column];
        return ulong.TryParse(word, CultureInfo.InvariantCulture, out ulong number) ? number : ulong.MaxValue;
    }

    private static (int Code, string Error) Shell(string script)
    {
        using Process? process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", script]) { RedirectStandardError = true });
        if (process is null)
        {
            return (-1, "cannot start /bin/sh");
        }

        string error = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        return (process.ExitCode, error);
    }

    [GeneratedRegex("^(.+)-nsm-.+$")]
    private static partial Regex NsmSpace();

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "access", SetLastError = true)]
    private static extern int Access([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int mode);
}
